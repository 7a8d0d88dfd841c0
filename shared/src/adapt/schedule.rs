//! When learning happens, how much of it may, and what it has cost: the schedule of a device in the field.
//!
//! It owns the decision before and after each image, the budget and the counters; it must not know rules nor
//! clocks: time is counted in images. Flow: `Plastic` asks before an image whether homeostasis may follow it
//! and after it whether its label is wanted; what is not wanted is not learned. Neither a new configuration nor a
//! rollback gives a spent budget back, nor does a restart: a commit keeps the schedule ([`terms`](super::terms)), and
//! as nobody knows what was spent between it and the restart, a whole window counts as spent then, in which nothing
//! is learned and nothing committed.
//!
//! With `K` images to a window, updates never bring a window beyond its updates, its estimated instructions or its
//! commits: an update that would pass a limit is skipped, and the next window starts `K` images after the
//! start of this one. An image that homeostasis follows is an update, and a label learned is another.
//!
//! What watches over learning, a guard's checks and rollbacks and the upkeep of domain slots, is never skipped, as
//! safety is worth more than a budget. It is counted among the instructions, and what a window takes beyond its limit
//! by it is taken off the next ones: many windows together take no more than their limits and, once, the check that
//! the last update led to. A commit keeps what is still to be taken off.

use serde::{Deserialize, Serialize};

/// Which images may be learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum When {
    /// The first and every `n`-th after it; 0 counts as 1.
    Every {
        /// Distance in images.
        n: u16,
    },
    /// Those whose best score leads by fewer than `margin` steps. Homeostasis, which works before there are
    /// scores, follows an image after one that was unsure, and the first.
    Unsure {
        /// In steps of the scores.
        margin: u8,
    },
    /// As many as were asked for: [`super::Plastic::attend`].
    Asked,
}

/// Limits of what a window of images may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Budget {
    /// Images of a window; 0 counts as 1.
    pub images: u32,
    /// Most updates.
    pub updates: u32,
    /// Most estimated instructions of updates and of what watches over them: see [`crate::cost`].
    pub instructions: u64,
    /// Most commits to flash.
    pub commits: u32,
}

/// When and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Schedule {
    /// Which images.
    pub when: When,
    /// None = no limit.
    pub budget: Option<Budget>,
}

impl Schedule {
    /// From every image, without a limit.
    pub const ALWAYS: Self = Self {
        when: When::Every { n: 1 },
        budget: None,
    };
}

impl Default for Schedule {
    fn default() -> Self {
        Self::ALWAYS
    }
}

/// What was done and left since the schedule was set, or the start; counters stop at their maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Spent {
    /// Images seen.
    pub images: u32,
    /// Of these, followed by homeostasis.
    pub observed: u32,
    /// Labels or rewards learned.
    pub learned: u32,
    /// Images, counted once for homeostasis and once for the head, from which the schedule did not learn.
    pub not_due: u32,
    /// The same, due but beyond the budget.
    pub over_budget: u32,
    /// Estimated instructions of everything observed, learned and watched.
    pub instructions: u64,
    /// Commits to flash.
    pub commits: u32,
    /// Commits refused for the budget.
    pub commits_refused: u32,
    /// Images of the present window.
    pub window_images: u32,
    /// Its updates.
    pub window_updates: u32,
    /// Its estimated instructions, and what the windows before it took beyond their limit.
    pub window_instructions: u64,
    /// Its commits.
    pub window_commits: u32,
    /// Images still to be learned from on request.
    pub asked: u32,
}

/// A schedule at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scheduler {
    schedule: Schedule,
    spent: Spent,
    /// Lead of the last image's best score.
    lead: u8,
    /// Whether the last image is due, whatever its scores.
    due: bool,
}

impl Scheduler {
    pub(crate) fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            spent: Spent::default(),
            lead: 0,
            due: false,
        }
    }

    /// `schedule` after a restart, when so many estimated instructions were `owed`.
    pub(crate) fn resumed(schedule: Schedule, owed: u64) -> Self {
        let mut scheduler = Self::new(schedule);
        if let Some(budget) = schedule.budget {
            scheduler.spent.window_updates = budget.updates;
            scheduler.spent.window_instructions = budget.instructions.saturating_add(owed);
            scheduler.spent.window_commits = budget.commits;
        }
        scheduler
    }

    /// What the present window took beyond its limit.
    pub(crate) fn owed(&self) -> u64 {
        let taken = self.spent.window_instructions;
        (self.schedule.budget).map_or(0, |budget| taken.saturating_sub(budget.instructions))
    }

    pub(crate) fn schedule(&self) -> Schedule {
        self.schedule
    }

    pub(crate) fn spent(&self) -> Spent {
        self.spent
    }

    pub(crate) fn attend(&mut self, images: u32) {
        self.spent.asked = images;
    }

    /// Before an image: whether homeostasis, if it is `wanted` and costs that many instructions, follows it.
    pub(crate) fn before_image(&mut self, wanted: bool, instructions: u64) -> bool {
        let spent = &mut self.spent;
        if let Some(budget) = self.schedule.budget
            && spent.window_images >= budget.images.max(1)
        {
            spent.window_images = 0;
            spent.window_updates = 0;
            spent.window_instructions = spent
                .window_instructions
                .saturating_sub(budget.instructions);
            spent.window_commits = 0;
        }
        self.due = match self.schedule.when {
            When::Every { n } => self.spent.images.is_multiple_of(u32::from(n.max(1))),
            When::Unsure { margin } => self.lead < margin,
            When::Asked => self.spent.asked > 0,
        };
        if matches!(self.schedule.when, When::Asked) {
            self.spent.asked = self.spent.asked.saturating_sub(1);
        }
        self.spent.images = self.spent.images.saturating_add(1);
        self.spent.window_images = self.spent.window_images.saturating_add(1);
        let observed = wanted && self.admits(self.due, instructions);
        if observed {
            self.spent.observed = self.spent.observed.saturating_add(1);
            self.charge(instructions);
        }
        observed
    }

    /// After an image: whether its label, if one can teach anything at that many instructions, is wanted.
    pub(crate) fn after_image(&mut self, scores: &[i8], learns: bool, instructions: u64) -> bool {
        self.lead = lead(scores);
        if let When::Unsure { margin } = self.schedule.when {
            self.due = self.lead < margin;
        }
        learns && self.admits(self.due, instructions)
    }

    /// A label or reward was learned.
    pub(crate) fn learned(&mut self, instructions: u64) {
        self.spent.learned = self.spent.learned.saturating_add(1);
        self.charge(instructions);
    }

    /// Images until a commit is within the budget; `None` if it is now.
    pub(crate) fn commit_in(&mut self) -> Option<u32> {
        let budget = self.schedule.budget?;
        if self.spent.window_commits < budget.commits {
            return None;
        }
        self.spent.commits_refused = self.spent.commits_refused.saturating_add(1);
        let left = budget
            .images
            .max(1)
            .saturating_sub(self.spent.window_images);
        Some(left.saturating_add(1))
    }

    /// A commit was done.
    pub(crate) fn committed(&mut self) {
        self.spent.commits = self.spent.commits.saturating_add(1);
        self.spent.window_commits = self.spent.window_commits.saturating_add(1);
    }

    /// Something was done that no budget refuses.
    pub(crate) fn watched(&mut self, instructions: u64) {
        let spent = &mut self.spent;
        spent.instructions = spent.instructions.saturating_add(instructions);
        spent.window_instructions = spent.window_instructions.saturating_add(instructions);
    }

    fn admits(&mut self, due: bool, instructions: u64) -> bool {
        if !due {
            self.spent.not_due = self.spent.not_due.saturating_add(1);
            return false;
        }
        let within = self.schedule.budget.is_none_or(|budget| {
            let after = self.spent.window_instructions.saturating_add(instructions);
            self.spent.window_updates < budget.updates && after <= budget.instructions
        });
        self.spent.over_budget = self.spent.over_budget.saturating_add(u32::from(!within));
        within
    }

    /// An update was done.
    fn charge(&mut self, instructions: u64) {
        self.watched(instructions);
        self.spent.window_updates = self.spent.window_updates.saturating_add(1);
    }
}

/// Best score less the second best; 255 for a single class.
fn lead(scores: &[i8]) -> u8 {
    let (mut first, mut second) = (None, None);
    for &score in scores {
        if first.is_none_or(|best| score > best) {
            (first, second) = (Some(score), first);
        } else if second.is_none_or(|best| score > best) {
            second = Some(score);
        }
    }
    match (first, second) {
        (Some(first), Some(second)) => first.abs_diff(second),
        _ => u8::MAX,
    }
}
