//! The space `darts`: published parameter counts, an independent count of every draw, rules where they
//! belong, text form, operators that stay in the space, a search over it.

use aplysia_search::*;
use aplysia_space::darts::{self, Stem, published};
use aplysia_space::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::AtomicBool;

/// Parameters without the auxiliary head: CIFAR-10, CIFAR-100, ImageNet. The log of DARTS prints the
/// first of `DARTS_V1`; the others follow from the same definition, as in [`count_by_hand`].
const PUBLISHED: [(&str, [usize; 3]); 7] = [
    ("DARTS_V1", [3_169_414, 3_221_344, 4_510_432]),
    ("DARTS_V2", [3_349_342, 3_401_272, 4_718_752]),
    ("BIODARTS", [2_867_662, 2_919_592, 4_194_304]),
    ("LR_NAS1", [2_639_566, 2_691_496, 4_010_944]),
    ("DARTS_maxpool", [1_729_990, 1_781_920, 2_843_872]),
    ("EG_first", [3_603_358, 3_655_288, 5_138_848]),
    ("EG_effective", [3_705_742, 3_757_672, 5_254_624]),
];

#[test]
fn published_genotypes_have_their_published_size() {
    for (name, counts) in PUBLISHED {
        let genotype = published(name).unwrap();
        let skeletons = [
            darts::Skeleton::cifar(10),
            darts::Skeleton::cifar(100),
            darts::Skeleton::imagenet(),
        ];
        let networks = skeletons.map(|s| {
            let network = s.lower(&genotype).unwrap();
            let inference = network.inference().0.total_params();
            assert_eq!(inference, count_by_hand(&s, &genotype), "{name}");
            (inference, network.total_params() - inference)
        });
        let count = networks.map(|(inference, _)| inference);
        assert_eq!(count, counts, "{name}");
        // ReLU, mean, 128 and 768 channels, linear; for ImageNet without the second batch norm.
        let auxiliary =
            |[c, norm, classes]: [usize; 3]| 128 * (c + 2) + 4 * 128 * 768 + norm + 769 * classes;
        let auxiliaries = networks.map(|(_, auxiliary)| auxiliary);
        let by_hand = [[576, 1536, 10], [576, 1536, 100], [768, 0, 1000]];
        assert_eq!(auxiliaries, by_hand.map(auxiliary));
    }
    let mut names = PUBLISHED.map(|(name, _)| name);
    let mut known = darts::published::NAMES;
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known);
    assert_eq!(published("BIODARTS2"), published("BIODARTS"));
    assert_eq!(published("biodarts"), None);
}

#[test]
fn biodarts_leaves_half_of_its_weights_to_back_propagation() {
    let genotype = published("BIODARTS").unwrap();
    let cifar = darts::Skeleton::cifar(10);
    let network = cifar.lower(&genotype).unwrap().inference().0;
    let per_mille = |rule| (1000.0 * network.rule_share().get(rule)).round() as usize;
    assert_eq!(
        [Rule::Frsf, Rule::Usf, Rule::Bp].map(per_mille),
        [250, 261, 490]
    );
    assert_eq!(network.macs() / 1_000_000, 452);
    let v2 = cifar.lower(&published("DARTS_V2").unwrap()).unwrap();
    assert_eq!(v2.inference().0.macs() / 1_000_000, 528);

    // Every gene set: what `paper` reaches stays, the rest falls back.
    let everywhere = genotype.map_rules(|_| Rule::Fa);
    let all = cifar.lower(&everywhere).unwrap();
    assert_eq!(all.rule_share().get(Rule::Fa), 1.0);
    let coverage = Coverage::Paper;
    let paper = darts::Skeleton { coverage, ..cifar };
    let paper = paper.lower(&everywhere).unwrap();
    for i in paper.weighted() {
        let name = &paper.nodes[i].name;
        let on_edge = name.ends_with("wise");
        let rule = if on_edge { Rule::Fa } else { Rule::Bp };
        assert_eq!(paper.rule(i), Some(rule), "{name}");
    }
    let share = paper.inference().0.rule_share().get(Rule::Bp);
    assert_eq!((1000.0 * share).round() as usize, 490);
}

/// Parameters of a final DARTS network without its auxiliary head, from the definition of its layers.
fn count_by_hand(s: &darts::Skeleton, g: &darts::Genotype) -> usize {
    let conv = |k: usize, from: usize, to: usize| k * k * from * to + 2 * to;
    let (mut c, mut s1) = (s.channels, s.channels);
    let mut total = conv(3, 3, c / 2) + conv(3, c / 2, c) + conv(3, c, c);
    if s.stem == Stem::Cifar {
        s1 = 3 * c;
        total = conv(3, s.input.c, s1);
    }
    let mut s0 = s1;
    for i in 0..s.n_cells {
        let reduction = i == s.n_cells / 3 || i == 2 * s.n_cells / 3;
        c *= 1 + usize::from(reduction);
        // A FactorizedReduce has as many parameters as a 1×1 convolution.
        total += conv(1, s0, c) + conv(1, s1, c);
        (s0, s1) = (s1, 4 * c);
        let cell = if reduction { &g.reduction } else { &g.normal };
        for edge in cell.iter().flatten() {
            total += match edge.gene.op() {
                darts::Op::SepConv3 => 2 * (9 * c + conv(1, c, c)),
                darts::Op::SepConv5 => 2 * (25 * c + conv(1, c, c)),
                darts::Op::DilConv3 => 9 * c + conv(1, c, c),
                darts::Op::DilConv5 => 25 * c + conv(1, c, c),
                darts::Op::Skip if reduction && edge.from < 2 => conv(1, c, c),
                _ => 0,
            };
        }
    }
    total + (s1 + 1) * s.n_classes
}

/// Every node reads earlier nodes of fitting shapes, and only rules of the space occur.
pub(crate) fn check_graph(network: &Network, rules: &[Rule]) {
    for (i, node) in network.nodes.iter().enumerate() {
        let from: Vec<Shape> = node
            .inputs
            .iter()
            .map(|&j| network.nodes[j].shape)
            .collect();
        assert!(node.inputs.iter().all(|&j| j < i) && !node.shape.is_empty());
        match node.op {
            NodeOp::Add => assert_eq!(from, [node.shape; 2], "{}", node.name),
            NodeOp::Concat => {
                assert!(
                    from.iter()
                        .all(|s| (s.h, s.w) == (node.shape.h, node.shape.w))
                );
                assert_eq!(from.iter().map(|s| s.c).sum::<usize>(), node.shape.c);
            }
            NodeOp::Input | NodeOp::Zero => assert!(from.is_empty()),
            _ => assert_eq!(from.len(), 1),
        }
        assert!(
            network.rule(i).is_none_or(|rule| rules.contains(&rule)),
            "{}",
            node.name
        );
    }
}

fn check_darts(space: &DartsSpace, g: &darts::Genotype) {
    assert_eq!(darts::Genotype::from_toml(&g.to_toml()).as_ref(), Ok(g));
    let json = serde_json::to_string(g).unwrap();
    assert_eq!(serde_json::from_str::<darts::Genotype>(&json).unwrap(), *g);
    let network = space.skeleton.lower(g).unwrap();
    let paper = space.skeleton.coverage == Coverage::Paper;
    let bp = [Rule::Bp].into_iter().filter(|_| paper);
    check_graph(&network, &[space.rules.clone(), bp.collect()].concat());
    let (inference, kept) = network.inference();
    assert_eq!(inference.total_params(), count_by_hand(&space.skeleton, g));
    let plain = darts::Skeleton {
        auxiliary: false,
        drop_path: false,
        ..space.skeleton
    };
    assert_eq!(inference, plain.lower(g).unwrap());
    let weighted: Vec<usize> = network.weighted().collect();
    for (at, i) in inference.weighted().enumerate() {
        assert_eq!(
            network.nodes[weighted[kept[at]]].name,
            inference.nodes[i].name
        );
    }
    assert_eq!(network.auxiliary.is_some(), space.skeleton.auxiliary);
    for edge in [g.normal, g.reduction].iter().flatten().flatten() {
        assert!(space.operations.contains(&edge.gene.op()));
    }
}

fn darts_spaces(n_cells: usize, side: usize, channels: usize) -> [DartsSpace; 3] {
    let skeleton = darts::Skeleton {
        input: Shape {
            h: side,
            w: side + 3,
            c: 3,
        },
        channels,
        n_cells,
        auxiliary: false,
        ..darts::Skeleton::cifar(10)
    };
    let small = DartsSpace {
        operations: vec![darts::Op::Skip, darts::Op::DilConv5],
        rules: vec![Rule::Dfa],
        skeleton: darts::Skeleton {
            stem: Stem::Imagenet,
            drop_path: false,
            ..skeleton
        },
    };
    let cifar = DartsSpace::new(darts::Skeleton {
        auxiliary: true,
        coverage: Coverage::Paper,
        input: Shape { h: 28, w: 28, c: 3 },
        n_cells: n_cells + 1,
        ..skeleton
    });
    [DartsSpace::new(skeleton), small, cifar]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn darts_operators_stay_in_the_space(seed: u64, n_cells in 1_usize..7, side in 1_usize..40, c in 1_usize..9) {
        for space in darts_spaces(n_cells, side, 2 * c) {
            // One reduction is too few for the auxiliary head, and refused.
            if space.check().is_err() {
                prop_assert!(space.skeleton.auxiliary && n_cells == 1);
                continue;
            }
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (mut a, b) = (space.sample(&mut rng), space.sample(&mut rng));
            check_darts(&space, &a);
            for _ in 0..4 {
                let child = space.mutate(&a, &mut rng);
                check_darts(&space, &child);
                prop_assert_ne!(&child, &a);
                a = space.crossover(&child, &b, &mut rng);
                check_darts(&space, &a);
            }
        }
    }
}

#[test]
fn the_text_form_is_readable_and_its_faults_are_named() {
    let biodarts = published("BIODARTS").unwrap().to_toml();
    assert!(
        biodarts.contains("    [\"sep_conv_3x3:frsf~1\", \"sep_conv_3x3:usf~2\"],\n"),
        "{biodarts}"
    );
    let fault = |from: &str, to: &str| {
        let text = biodarts.replacen(from, to, 1);
        darts::Genotype::from_toml(&text).unwrap_err().to_string()
    };
    assert!(
        fault("usf~2", "usf~3").contains("normal.node3: edge `sep_conv_3x3:usf~3` reads a node")
    );
    assert!(fault("usf~2", "usf~1").contains("reads the same node"));
    assert!(fault("sep_conv_3x3", "sep_conv_9x9").contains("use one of max_pool_3x3"));
    assert!(fault("skip_connect~0", "skip_connect:usf~0").contains("no weights"));
    assert!(fault("stem", "stump").contains("stump"));
    let wide = darts::Skeleton {
        input: Shape { h: 40, w: 40, c: 3 },
        ..darts::Skeleton::cifar(10)
    };
    let endless = darts::Skeleton {
        n_cells: usize::MAX,
        ..darts::Skeleton::search()
    };
    assert_eq!(endless.check().unwrap_err().field, "n_cells");
    assert!(
        wide.check()
            .unwrap_err()
            .to_string()
            .contains("map of 10×10")
    );
}

/// Odd maps: the shifted half of a FactorizedReduce keeps the size of the other.
#[test]
fn reductions_of_odd_maps_fit() {
    let skeleton = darts::Skeleton {
        input: Shape { h: 13, w: 7, c: 1 },
        n_cells: 3,
        auxiliary: false,
        ..darts::Skeleton::search()
    };
    let network = skeleton.lower(&published("LR_NAS1").unwrap()).unwrap();
    let cells = network.nodes.iter().filter(|n| n.name.ends_with(".concat"));
    let shapes: Vec<[usize; 3]> = cells.map(|n| [n.shape.h, n.shape.w, n.shape.c]).collect();
    assert_eq!(shapes, [[13, 7, 64], [7, 4, 128], [4, 2, 256]]);
}

/// Prefers networks of many multiply-accumulates.
struct Largest(darts::Skeleton);

impl Evaluate<darts::Genotype> for Largest {
    fn cost(&self, genotype: &darts::Genotype) -> Result<Costs, String> {
        let network = self.0.lower(genotype).map_err(|e| e.to_string())?;
        Ok(Costs {
            flash_bytes: network.total_params() as u64,
            ram_bytes: 1,
            macs: network.macs(),
            instructions: network.macs(),
            ..Costs::default()
        })
    }

    fn rule_share(&self, genotype: &darts::Genotype) -> Result<RuleShare, String> {
        let network = self.0.lower(genotype).map_err(|e| e.to_string())?;
        Ok(network.rule_share())
    }

    fn train(&mut self, job: &Job<'_, darts::Genotype>) -> Result<Score, TrainError> {
        let macs = self.cost(job.genotype).map_err(TrainError::Failed)?.macs;
        let accuracy = macs as f64 / (macs as f64 + 1e8);
        Ok(Score {
            accuracy,
            adapted: None,
        })
    }
}

/// A study of this space is opened again from its `study.toml`, and evolution finds larger networks than
/// its first generation held.
#[test]
fn evolution_searches_the_space() {
    let skeleton = darts::Skeleton::search();
    let config = StudyConfig {
        seed: 7,
        strategy: StrategyKind::Evolution,
        n_trials: 60,
        population: 6,
        dataset_digest: "abc".into(),
        halving: Halving {
            budgets: vec![1],
            eta: 2,
        },
        limits: Limits {
            flash_bytes: u64::MAX,
            ram_bytes: 1,
            instructions: u64::MAX,
            min_accuracy: 0.0,
            params: None,
            macs: None,
        },
        evaluator: Default::default(),
        space: DartsSpace::new(skeleton),
    };
    let dir = tempfile::tempdir().unwrap();
    drop(Study::create(dir.path(), config.clone()).unwrap());
    let mut study = Study::<DartsSpace>::open(dir.path()).unwrap();
    assert_eq!(*study.config(), config);
    let stop = AtomicBool::new(false);
    let outcome = study.run(&mut Largest(skeleton), &stop, &mut |_| {});
    assert_eq!(outcome.unwrap(), Outcome::Complete);
    let macs: Vec<u64> = study.trials().iter().map(|t| t.costs.macs).collect();
    assert!(macs[6..].iter().max() > macs[..6].iter().max(), "{macs:?}");
}
