//! The space `mcu`: every genotype it makes is valid, text forms are inverse, lowering is exact.

use aplysia_space::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn fashion() -> Shape {
    Shape { h: 28, w: 28, c: 1 }
}

/// Valid for the input, within the bounds, and equal to itself after a trip through TOML.
fn check(space: &McuSpace, g: &Genotype) {
    g.validate(space.input).unwrap();
    assert_eq!(Genotype::from_toml(&g.to_toml()).unwrap(), *g);
    assert!(
        (space.min_blocks..=space.max_blocks).contains(&g.blocks.len()),
        "{g:?}"
    );
    assert!(
        space.stem_channels.contains(&g.stem.channels) && space.kernels.contains(&g.stem.kernel)
    );
    let mut rules = vec![g.stem.rule, g.head.rule];
    for b in &g.blocks {
        assert!(space.channels.contains(&b.channels) && space.kernels.contains(&b.kernel));
        assert!(b.op != BlockOp::Bottleneck || space.expansions.contains(&b.expansion));
        rules.extend(&b.rules);
    }
    assert!(rules.iter().all(|r| space.rules.contains(r)), "{rules:?}");
    check_plasticity(space, g);
    let network = Network::lower(g, space.input, 10).unwrap();
    assert_eq!(network.weighted().count(), rules.len());
    let share: f64 = network.rule_share().into_iter().map(|(_, s)| s).sum();
    assert!((share - 1.0).abs() < 1e-9);
}

/// A plan within the bounds, a flag for every convolution; nothing of it without bounds.
fn check_plasticity(space: &McuSpace, g: &Genotype) {
    let Some(bounds) = &space.plasticity else {
        assert!(g.plasticity.is_none() && g.homeostatic().is_none());
        assert!(!g.to_toml().contains("homeostatic"));
        return;
    };
    let plan = g.plasticity.unwrap();
    assert!(bounds.heads.contains(&plan.head));
    assert!(plan.below == Below::None || bounds.below.contains(&plan.below));
    assert!(plan.below == Below::None || plan.head.goes_below());
    let blocks = g.blocks.iter();
    let flags: Vec<bool> = [g.stem.homeostatic]
        .into_iter()
        .chain(blocks.flat_map(|b| b.homeostatic.clone()))
        .collect();
    assert_eq!(g.homeostatic().unwrap(), flags);
    let network = Network::lower(g, space.input, 10).unwrap();
    assert_eq!(flags.len() + 1, network.weighted().count());
    // Without its plan it is a genotype of before.
    let mut before = g.clone();
    before.plasticity = None;
    before.stem.homeostatic = false;
    before.blocks.iter_mut().for_each(|b| b.homeostatic.clear());
    before.validate(space.input).unwrap();
    let old = before.to_toml();
    assert!(!old.contains("plasticity") && !old.contains("homeostatic"));
    assert_eq!(Genotype::from_toml(&old).unwrap(), before);
}

fn spaces(h: usize, w: usize, c: usize) -> [McuSpace; 5] {
    let usual = McuSpace::new(Shape { h, w, c });
    let narrow = McuSpace {
        stem_channels: vec![4],
        min_blocks: 0,
        max_blocks: 3,
        channels: vec![4, 8],
        kernels: vec![5],
        expansions: vec![2, 6],
        ..usual.clone()
    };
    [
        usual.clone().with_rules(&Rule::ALL),
        narrow.clone(),
        usual.clone().with_rules(&[Rule::Usf]),
        McuSpace {
            plasticity: Some(PlasticityBounds::new(true)),
            ..narrow
        },
        McuSpace {
            plasticity: Some(PlasticityBounds::new(false)),
            ..usual
        },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn operators_stay_in_the_space(seed: u64, h in 1_usize..40, w in 1_usize..40, c in 1_usize..4) {
        for space in spaces(h, w, c) {
            space.check().unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (mut a, b) = (space.sample(&mut rng), space.sample(&mut rng));
            check(&space, &a);
            for _ in 0..8 {
                let child = space.mutate(&a, &mut rng);
                check(&space, &child);
                prop_assert_ne!(&child, &a);
                a = space.crossover(&child, &b, &mut rng);
                check(&space, &a);
            }
        }
    }
}

#[test]
fn random_rules_leave_the_operations_and_follow_the_seed() {
    let darts = Design::named("BIODARTS").unwrap().unwrap();
    let mcu = McuSpace::new(fashion()).sample(&mut ChaCha8Rng::seed_from_u64(9));
    for design in [darts, Design::Mcu(mcu)] {
        let draw = |rules: &[Rule], seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            design.clone().with_random_rules(rules, &mut rng)
        };
        let drawn = draw(&Rule::BIO, 1);
        assert_eq!(drawn, draw(&Rule::BIO, 1));
        assert_ne!(drawn, draw(&Rule::BIO, 2));
        let bp = |design: Design| design.with_rule(Rule::Bp);
        assert_eq!(bp(drawn.clone()), bp(design.clone()));
        assert_eq!(draw(&[Rule::Kp], 1), design.clone().with_rule(Rule::Kp));
        assert_eq!(draw(&[], 1), design);
        let many: String = (1..30)
            .map(|seed| draw(&Rule::BIO, seed).to_toml())
            .collect();
        let named = |r: &&Rule| many.contains(&format!("{r}\"")) || many.contains(&format!("{r}~"));
        assert_eq!(Rule::BIO.iter().filter(named).count(), 5, "{many}");
    }
}

#[test]
fn drawing_is_a_function_of_the_seed() {
    let space = McuSpace::new(fashion());
    let draw = |seed| space.sample(&mut ChaCha8Rng::seed_from_u64(seed));
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
}

#[test]
fn a_fifth_of_the_draws_fit_a_small_microcontroller() {
    let space = McuSpace::new(fashion());
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let fits = |_: &usize| {
        let n = Network::lower(&space.sample(&mut rng), space.input, 10).unwrap();
        let live = |i: usize| n.nodes[i].shape.len() + n.input_shape(i).len();
        let ram = (1..n.nodes.len()).map(live).max().unwrap();
        n.total_weights() < 56_000 && ram < 30_000 && n.macs() < 3_000_000
    };
    assert!((0..500).filter(fits).count() >= 100);
}

/// A network counted by hand. Input 28×28×1.
const BY_HAND: &str = r#"
[stem]
channels = 8
kernel = 3
stride = 2
rule = "fa"

[head]
rule = "dfa"

[[block]]
op = "bottleneck"
expansion = 3
kernel = 5
stride = 1
channels = 8
residual = true
pool = "max"
rules = ["usf", "brsf", "frsf"]

[[block]]
op = "separable"
kernel = 3
stride = 2
channels = 12
residual = false
pool = "none"
rules = ["usf", "bp"]

[[block]]
op = "conv"
kernel = 3
stride = 1
channels = 16
residual = false
pool = "avg"
rules = ["fa"]
"#;

#[test]
fn shapes_weights_and_macs_by_hand() {
    let g = Genotype::from_toml(BY_HAND).unwrap();
    let n = Network::lower(&g, fashion(), 10).unwrap();
    let rows: Vec<(&str, [usize; 3], usize)> = (0..n.nodes.len())
        .map(|i| {
            let s = n.nodes[i].shape;
            (n.nodes[i].name.as_str(), [s.h, s.w, s.c], n.n_weights(i))
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("input", [28, 28, 1], 0),
            ("stem", [14, 14, 8], 72),
            ("block0.expand", [14, 14, 24], 192),
            ("block0.depthwise", [14, 14, 24], 600),
            ("block0.project", [14, 14, 8], 192),
            ("block0.add", [14, 14, 8], 0),
            ("block0.pool", [7, 7, 8], 0),
            ("block1.depthwise", [4, 4, 8], 72),
            ("block1.pointwise", [4, 4, 12], 96),
            ("block2.conv", [4, 4, 16], 1728),
            ("block2.pool", [2, 2, 16], 0),
            ("pool", [1, 1, 16], 0),
            ("head", [1, 1, 10], 160),
        ]
    );
    assert_eq!(n.total_weights(), 3112);
    let macs = 196 * (72 + 192 + 600 + 192) + 16 * (72 + 96 + 1728) + 160;
    assert_eq!(n.macs(), macs);
    let share = n.rule_share();
    assert!((share.get(Rule::Fa) - 1800.0 / 3112.0).abs() < 1e-12);
    assert!((share.get(Rule::Bp) - 96.0 / 3112.0).abs() < 1e-12);
    assert_eq!(share.main(), Some(Rule::Fa));
    let words = share.to_string();
    assert!(words.starts_with("fa 57.8 %, "), "{words}");
    assert!(format!("{share:.0}").starts_with("fa 58 %, "));
    let json = serde_json::to_string(&share).unwrap();
    assert_eq!(serde_json::from_str::<RuleShare>(&json).unwrap(), share);
    let text = n.draw();
    assert_eq!(text.lines().count(), 1 + n.nodes.len() + 2);
    assert!(
        text.ends_with(&format!("weights trained by: {words}\n")),
        "{text}"
    );
    assert!(
        text.contains("block1.depthwise") && text.contains("dw 3×3 /2 relu"),
        "{text}"
    );
}

#[test]
fn faults_are_named() {
    let fault = |from: &str, to: &str| {
        let g = Genotype::from_toml(&BY_HAND.replacen(from, to, 1))?;
        g.validate(fashion())
    };
    assert_eq!(fault("", ""), Ok(()));
    let text = |from: &str, to: &str| fault(from, to).unwrap_err().to_string();
    assert!(text("channels = 8", "channels = 6").contains("multiples of 4"));
    assert!(text("kernel = 5", "kernel = 7").contains("block0: kernel = 7"));
    assert!(
        text(
            "stride = 2\nchannels = 12",
            "stride = 2\nchannels = 12\ndepth = 1"
        )
        .contains("depth")
    );
    assert!(text(r#"["usf", "bp"]"#, r#"["usf"]"#).contains("1 rules for 2"));
    assert!(text("residual = false", "residual = true").contains("residual"));
    assert!(text(r#""dfa""#, r#""hope""#).contains("hope"));
    let planned = |flags: &str, plan: &str| {
        let rules = r#"rules = ["fa"]"#;
        text(rules, &format!("{rules}\nhomeostatic = {flags}\n{plan}"))
    };
    let plan = |head, below| format!("[plasticity]\nhead = \"{head}\"\nbelow = \"{below}\"");
    assert!(planned("[true]", "").contains("block2 is homeostatic"));
    assert!(
        planned("[true, false]", &plan("none", "none")).contains("2 flags `homeostatic` for 1")
    );
    assert!(planned("[true]", &plan("instar", "signs")).contains("not Instar"));
    assert!(planned("[true]", &plan("hope", "none")).contains("hope"));
}

#[test]
fn an_unusable_space_is_refused() {
    let usual = McuSpace::new(fashion());
    let fault = |space: McuSpace| space.check().unwrap_err().field;
    assert_eq!(fault(usual.clone().with_rules(&[])), "rules");
    assert_eq!(
        fault(McuSpace {
            kernels: vec![4],
            ..usual.clone()
        }),
        "kernels"
    );
    assert_eq!(
        fault(McuSpace {
            channels: vec![],
            ..usual.clone()
        }),
        "channels"
    );
    assert_eq!(
        fault(McuSpace {
            min_blocks: 8,
            ..usual.clone()
        }),
        "min_blocks, max_blocks"
    );
    let mut unplanned = PlasticityBounds::new(true);
    unplanned.heads.clear();
    assert_eq!(
        fault(McuSpace {
            plasticity: Some(unplanned),
            ..usual.clone()
        }),
        "plasticity.heads"
    );
    assert_eq!(
        fault(McuSpace {
            input: Shape { h: 0, w: 1, c: 1 },
            ..usual
        }),
        "input"
    );
}
