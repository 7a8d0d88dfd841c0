//! The schedule of a [`Plastic`]: set, asked and read.
//!
//! It owns the way in and out; the decisions are [`super::schedule`]'s.

use super::Plastic;
use super::schedule::{Schedule, Scheduler, Spent};

impl Plastic<'_> {
    /// Learns by `schedule` from now on, counters at zero. It is no part of the learned state: what is
    /// configured, restored, reset or rolled back later leaves it alone.
    pub fn set_schedule(&mut self, schedule: Schedule) {
        self.scheduler = Scheduler::new(schedule);
    }

    /// The next `images` are to be learned from, in place of what was asked for before; only
    /// [`super::schedule::When::Asked`] heeds it.
    pub fn attend(&mut self, images: u32) {
        self.scheduler.attend(images);
    }

    /// When and how much it learns.
    pub fn schedule(&self) -> Schedule {
        self.scheduler.schedule()
    }

    /// What was done and left since the schedule was set.
    pub fn spent(&self) -> Spent {
        self.scheduler.spent()
    }
}
