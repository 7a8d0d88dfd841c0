//! The space `nasbench201`: published parameter counts, string form, operators that stay in the space.

use crate::cells::check_graph;
use aplysia_space::nasbench201 as nb201;
use aplysia_space::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn nasbench201(cell: &str) -> nb201::Genotype {
    nb201::Genotype {
        cell: cell.parse().unwrap(),
        rules: nb201::PlaceRules::all(Rule::Bp),
    }
}

#[test]
fn nasbench201_networks_have_their_size() {
    let skeleton = nb201::Skeleton::published(32, 10);
    let params = |cell: &str| {
        let network = skeleton.lower(&nasbench201(cell)).unwrap();
        (network.total_params(), network.inference().0.total_params())
    };
    let all = |op: &str| format!("|{op}~0|+|{op}~0|{op}~1|+|{op}~0|{op}~1|{op}~2|");
    assert_eq!(params(&all("nor_conv_3x3")), (1_531_546, 1_531_546));
    assert_eq!(params(&all("skip_connect")), (73_306, 73_306));
    assert_eq!(params(&all("avg_pool_3x3")), (73_306, 73_306));
    // Nothing reaches the output but the last batch norm and the classifier.
    assert_eq!(params(&all("none")), (73_306, 128 + 650));
    // An edge into a node that nobody reads counts until it is taken out.
    let unread = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|";
    let one_edge = 5 * (9 * (16 * 16 + 32 * 32 + 64 * 64) + 2 * (16 + 32 + 64));
    assert_eq!(params(unread), (73_306 + one_edge, 73_306));

    let small = nb201::Skeleton::published(16, 120);
    let network = small.lower(&nasbench201(unread)).unwrap();
    let pooled = network.input_shape(network.nodes.len() - 2);
    assert_eq!(pooled, Shape { h: 4, w: 4, c: 64 });
    let odd = nb201::Skeleton::published(18, 10).lower(&nasbench201(unread));
    assert!(odd.unwrap_err().to_string().contains("multiples of 4"));
}

#[test]
fn the_string_form_is_that_of_the_literature() {
    let text =
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3:usf~0|none~1|none~2|";
    assert_eq!(nasbench201(text).cell.to_string(), text);
    for broken in [
        "",
        "|none~0|",
        &text[1..],
        &text.replace("~2", "~1"),
        &text.replace("none", "zero"),
    ] {
        assert!(broken.parse::<nb201::Cell>().is_err(), "{broken}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nasbench201_operators_stay_in_the_space(seed: u64, n_cells in 1_usize..4, c in 1_usize..9) {
        let skeleton = nb201::Skeleton { channels: c, n_cells, ..nb201::Skeleton::published(16, 120) };
        let space = NasBench201Space::new(skeleton);
        space.check().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut a, b) = (space.sample(&mut rng), space.sample(&mut rng));
        for _ in 0..4 {
            let child = space.mutate(&a, &mut rng);
            prop_assert_ne!(&child, &a);
            a = space.crossover(&child, &b, &mut rng);
            for g in [&child, &a] {
                prop_assert_eq!(&nb201::Genotype::from_toml(&g.to_toml()).unwrap(), g);
                let network = space.skeleton.lower(g).unwrap();
                check_graph(&network, &space.rules);
                check_graph(&network.inference().0, &space.rules);
            }
        }
    }
}
