//! What `aplysia search` asks of each space: its bounds, its networks, their costs.

use crate::args::SearchArgs;
use crate::blob;
use anyhow::{Context, Result};
use aplysia_deploy::cascade::within;
use aplysia_deploy::cost::untrained_blob;
use aplysia_deploy::plasticity::Learning;
use aplysia_deploy::{Content, Costs as DeviceCosts, DeployError};
use aplysia_learn::supernet::SupernetConfig;
use aplysia_search::{Costs, SearchError, Space, TrainError};
use aplysia_shared::Model;
use aplysia_shared::adapt::Config;
use aplysia_space::{
    DartsSpace, Design, Genotype, McuSpace, NasBench201Space, Network, Operation, PlasticityBounds,
    Rule, Shape,
};
use aplysia_space::{darts, nasbench201};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// A space that the command searches.
pub(crate) trait Searched:
    Space + Clone + PartialEq + Serialize + DeserializeOwned + 'static
{
    /// The space with the bounds that `args` names, for these images.
    fn new(args: &SearchArgs, input: Shape, n_classes: usize) -> Result<Self>;
    /// Flash, RAM and instructions that a candidate may cost unless told otherwise.
    const LIMITS: DeviceLimits;
    /// The plan of a candidate's network.
    fn design(&self, genotype: &Self::Genotype) -> Design;
    /// The learning rules that candidates are made of.
    fn rules(&self) -> &[Rule];
    /// What a network without what training alone needs costs on the device.
    ///
    /// # Errors
    /// The blob format does not hold it, or it cannot learn so.
    fn cost(
        &self,
        network: &Network,
        content: &Content,
        how: Deployment<'_>,
    ) -> Result<Costs, String>;
    /// The same space with plans of learning on the device in its genotypes.
    ///
    /// # Errors
    /// Its genotypes hold none.
    fn plastic(self, bounds: PlasticityBounds) -> Result<Self> {
        let _ = bounds;
        anyhow::bail!(
            "--adapt-samples makes learning on the device part of the genotype, which only the space mcu has: \
             leave it or --space out"
        )
    }
    /// Checks that a supernet with these settings can learn candidates of this space.
    ///
    /// # Errors
    /// The space has no supernet, or not with its bounds and these settings.
    fn check_learned(&self, settings: &SupernetConfig) -> Result<()> {
        let _ = settings;
        anyhow::bail!(
            "this strategy learns in a supernet, which only the space darts has: add --space darts"
        )
    }
    /// A candidate from what `learn` learns in a supernet; none if the space has none.
    fn learned(
        &self,
        learn: impl FnOnce(&DartsSpace) -> Result<darts::Genotype, TrainError>,
    ) -> Option<Result<Self::Genotype, TrainError>> {
        let _ = learn;
        None
    }
}

/// The most that a candidate may cost on the device, unless told otherwise.
pub(crate) struct DeviceLimits {
    pub(crate) flash_bytes: u64,
    pub(crate) ram_bytes: u64,
    pub(crate) instructions: u64,
}

impl DeviceLimits {
    /// No limit: the largest number that a study's TOML holds.
    pub(crate) const NONE: Self = Self {
        flash_bytes: i64::MAX as u64,
        ram_bytes: i64::MAX as u64,
        instructions: i64::MAX as u64,
    };
}

/// How a candidate would live on a device.
#[derive(Clone, Copy)]
pub(crate) struct Deployment<'a> {
    /// What it learns there.
    pub(crate) planned: Option<&'a Config>,
    /// Bytes of RAM, what it learns included, that layers run together for.
    pub(crate) within: Option<u64>,
}

/// Costs on a device.
fn on_device(
    network: &Network,
    content: &Content,
    how: Deployment<'_>,
) -> Result<Costs, DeployError> {
    let learning = |model: &Model<'_>| {
        let learning = how.planned.map(|config| Learning::of(model, config));
        learning.transpose().map(Option::unwrap_or_default)
    };
    let mut blob = untrained_blob(network, content)?;
    if let Some(ram_bytes) = how.within {
        let learned = learning(&Model::parse(&blob)?)?.state_bytes;
        let arena = usize::try_from(ram_bytes.saturating_sub(learned));
        blob = within(&blob, arena.unwrap_or(usize::MAX), how.planned)?;
    }
    let model = Model::parse(&blob)?;
    let (c, learning) = (DeviceCosts::of(&model), learning(&model)?);
    Ok(Costs {
        flash_bytes: c.flash_bytes,
        ram_bytes: c.ram_bytes,
        macs: c.macs,
        instructions: c.instructions,
        params: 0,
        learned_bytes: learning.state_bytes,
        update_instructions: learning.instructions,
    })
}

impl Searched for McuSpace {
    fn new(args: &SearchArgs, input: Shape, _: usize) -> Result<Self> {
        args.skeleton.check("mcu", (false, false))?;
        let space = bounds(args, "mcu")?.unwrap_or_else(|| McuSpace::new(input));
        Ok(match args.rules.as_slice() {
            [] => space,
            rules => space.with_rules(rules),
        })
    }

    fn design(&self, genotype: &Genotype) -> Design {
        Design::Mcu(genotype.clone())
    }

    fn rules(&self) -> &[Rule] {
        &self.rules
    }

    const LIMITS: DeviceLimits = DeviceLimits {
        flash_bytes: 65_536,
        ram_bytes: 32_768,
        instructions: 40_000_000,
    };

    fn cost(
        &self,
        network: &Network,
        content: &Content,
        how: Deployment<'_>,
    ) -> Result<Costs, String> {
        on_device(network, content, how).map_err(|e| e.to_string())
    }

    fn plastic(self, bounds: PlasticityBounds) -> Result<Self> {
        let plasticity = self.plasticity.or(Some(bounds));
        Ok(Self { plasticity, ..self })
    }
}

/// The cell spaces differ in their types only.
macro_rules! searched {
    ($space:ident, $name:literal, $genotype:ty, $skeleton:ident, $usual:expr, $design:ident, $cells:literal, { $($more:tt)* }) => {
        impl Searched for $space {
            fn new(args: &SearchArgs, input: Shape, n_classes: usize) -> Result<Self> {
                let mut space = bounds(args, $name)?.unwrap_or_else(|| $space::new($usual));
                space.skeleton = args.skeleton.$skeleton(space.skeleton, input, n_classes);
                if !args.rules.is_empty() {
                    space.rules = args.rules.clone();
                }
                Ok(space)
            }

            fn design(&self, genotype: &$genotype) -> Design {
                Design::$design(genotype.clone(), self.skeleton)
            }

            fn rules(&self) -> &[Rule] {
                &self.rules
            }

            const LIMITS: DeviceLimits = DeviceLimits::NONE;

            fn cost(
                &self,
                network: &Network,
                content: &Content,
                how: Deployment<'_>,
            ) -> Result<Costs, String> {
                let costs = match self.skeleton.n_cells <= $cells {
                    true => on_device(network, content, how).map_err(|e| e.to_string())?,
                    // Most have more layers than a blob holds.
                    false => Costs {
                        macs: network.macs(),
                        ..Costs::default()
                    },
                };
                Ok(Costs {
                    params: network.total_params() as u64,
                    ..costs
                })
            }

            $($more)*
        }
    };
}

searched!(
    DartsSpace,
    "darts",
    darts::Genotype,
    darts,
    darts::Skeleton::search(),
    Darts,
    5,
    {
        fn check_learned(&self, settings: &SupernetConfig) -> Result<()> {
            let all = |op| self.operations.contains(op);
            if !darts::Op::ALL.iter().all(all) {
                anyhow::bail!("a supernet has all operations, the bounds leave some out");
            }
            settings.check()?;
            settings.supernet(&self.skeleton, &self.rules)?;
            Ok(())
        }

        fn learned(
            &self,
            learn: impl FnOnce(&DartsSpace) -> Result<darts::Genotype, TrainError>,
        ) -> Option<Result<darts::Genotype, TrainError>> {
            Some(learn(self))
        }
    }
);
searched!(
    NasBench201Space,
    "nasbench201",
    nasbench201::Genotype,
    nasbench201,
    nasbench201::Skeleton::published(32, 10),
    NasBench201,
    6,
    {}
);

/// The spaces by name.
const NAMES: [&str; 3] = ["mcu", "darts", "nasbench201"];

/// The name of the space that `args` means: by the flag, or that of the bounds in its file or study.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn name(args: &SearchArgs) -> Result<String> {
    let table = if args.resume {
        let path = args.study.join("study.toml");
        if !path.exists() {
            return Err(SearchError::Nothing {
                path: args.study.clone(),
            }
            .into());
        }
        let mut study: toml::Table = read_toml(&path)?;
        study.remove("space").and_then(|s| s.try_into().ok())
    } else if NAMES.contains(&args.space.as_str()) {
        return Ok(args.space.clone());
    } else {
        let names = NAMES.join(", ");
        let bounds = read_toml(Path::new(&args.space));
        Some(bounds.with_context(|| format!("--space takes {names} or a file with bounds"))?)
    };
    Ok(table.as_ref().map_or(NAMES[0], name_of).to_string())
}

/// Which space has the bounds in `table`: only `darts` has a stem in its skeleton, `mcu` has none.
fn name_of(table: &toml::Table) -> &'static str {
    match table.get("skeleton").and_then(|s| s.get("stem")) {
        Some(_) => "darts",
        None if table.contains_key("skeleton") => "nasbench201",
        None => "mcu",
    }
}

/// The bounds that `args` names; none for the usual ones, which go by the name of the space.
fn bounds<S: Searched>(args: &SearchArgs, name: &str) -> Result<Option<S>> {
    if args.space == name {
        return Ok(None);
    }
    let space: S = read_toml(Path::new(&args.space))?;
    match space.fault() {
        None => Ok(Some(space)),
        Some(fault) => anyhow::bail!("{}: {fault}", args.space),
    }
}

fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = String::from_utf8(blob::read_file(path)?)
        .with_context(|| format!("{} is not text", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} holds no search space", path.display()))
}
