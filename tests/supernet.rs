//! The supernet of `darts`: published sizes, columns, discretization.

use aplysia_space::darts::{self, Columns, PlaceRules, Places, Supernet};
use aplysia_space::*;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn supernets_have_their_published_size() {
    let net = |columns: Columns, partial: usize| {
        let rules = PlaceRules::all(Rule::Bp);
        Supernet::new(&darts::Skeleton::search(), rules, columns, partial).unwrap()
    };
    let darts = net(Columns::Factored(vec![Rule::Bp]), 1);
    assert_eq!(darts.network.total_params(), 1_930_618);
    assert_eq!(
        (darts.candidates.len(), darts.network.macs() / 1_000_000),
        (8, 300)
    );
    let flat = net(Columns::Flat, 1);
    assert_eq!(flat.network.total_params(), 7_383_162);
    assert_eq!(net(Columns::Flat, 4).network.total_params(), 897_402);
    let names: Vec<String> = flat.candidates.iter().map(|c| c.to_string()).collect();
    assert_eq!(names.len(), 22);
    assert_eq!(
        names[3..8].join(" "),
        "skip_connect:usf skip_connect:frsf skip_connect:brsf sep_conv_3x3:usf sep_conv_3x3:brsf"
    );
    assert_eq!((&*names[0], &*names[21]), ("none", "dil_conv_5x5:fa"));

    // The factored form differs by two of three FactorizedReduce on each strided edge: 2 cells, 8 edges,
    // C² weights each (batch norms of a supernet have no parameters).
    let rules = vec![Rule::Usf, Rule::Brsf, Rule::Frsf, Rule::Fa];
    let factored = net(Columns::Factored(rules), 1);
    assert_eq!(factored.candidates.len(), 20);
    let fewer = 2 * 8 * (32 * 32 + 64 * 64);
    assert_eq!(factored.network.total_params(), 7_383_162 - fewer);
    let is_mix = |node: &&Node| {
        matches!(
            node.op,
            NodeOp::Mix {
                of: Mixture::Candidates,
                ..
            }
        )
    };
    let mixes: Vec<&Node> = factored.network.nodes.iter().filter(is_mix).collect();
    assert_eq!(mixes.len(), 8 * darts::N_EDGES);
    assert!(mixes.iter().all(|mix| mix.inputs.len() == 19));
}

/// Whether the rows of a supernet become the genotype they favour, when rules share a vote and when they
/// do not.
#[test]
fn discretization_follows_the_votes() {
    let rules = PlaceRules::all(Rule::Usf);
    let skeleton = darts::Skeleton::search();
    let palette = vec![Rule::Usf, Rule::Fa];
    let factored = Supernet::new(&skeleton, rules, Columns::Factored(palette), 1).unwrap();
    // none, max, avg, skip, then sep3, sep5, dil3, dil5 under each rule.
    let mut row = vec![0.9, 0.0, 0.0, 0.35, 0.1, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let table = vec![row.clone(); Supernet::N_ROWS];
    let genotype = factored.discretize(&table, rules).unwrap();
    assert_eq!(
        genotype.normal[3].map(String::from),
        ["sep_conv_3x3:fa~0", "sep_conv_3x3:fa~1"]
    );
    assert!(factored.discretize(&table[1..], rules).is_err());
    row[3] = 0.45;
    let mut table = vec![row; Supernet::N_ROWS];
    table[13][2] = 2.0;
    let genotype = factored.discretize(&table, rules).unwrap();
    assert_eq!(
        genotype.normal[3].map(String::from),
        ["skip_connect~0", "avg_pool_3x3~4"]
    );

    // Three skips of 0.2 lose against one convolution of 0.3.
    let flat = Supernet::new(&skeleton, rules, Columns::Flat, 1).unwrap();
    let mut row = vec![0.0; 22];
    row[3..6].fill(0.2);
    row[12] = 0.3;
    let genotype = flat
        .discretize(&vec![row; Supernet::N_ROWS], rules)
        .unwrap();
    assert_eq!(
        genotype.reduction[0].map(String::from),
        ["sep_conv_5x5:frsf~0", "sep_conv_5x5:frsf~1"]
    );
}

/// Where their rules are searched, every layer outside of the edges is there once per rule; one rule, or
/// `coverage = "paper"`, leaves nothing to search.
#[test]
fn the_rules_of_the_places_are_mixed_and_read_off() {
    let skeleton = darts::Skeleton::search();
    let rules = vec![Rule::Usf, Rule::Fa, Rule::Dfa];
    let net = |skeleton: &darts::Skeleton, places: Places| {
        Supernet::new(skeleton, places, Columns::Factored(rules.clone()), 1).unwrap()
    };
    let fixed = net(&skeleton, PlaceRules::all(Rule::Usf).into());
    let searched = net(&skeleton, Places::Searched(rules.clone()));
    let mixes = |net: &Supernet| -> Vec<(usize, usize)> {
        let of = |node: &Node| match node.op {
            NodeOp::Mix {
                of: Mixture::Places,
                row,
            } => Some((row, node.inputs.len())),
            _ => None,
        };
        net.network.nodes.iter().filter_map(of).collect()
    };
    assert_eq!(mixes(&fixed), []);
    let found = mixes(&searched);
    let count = |row| found.iter().filter(|m| **m == (row, 3)).count();
    // The stem; two inputs of 8 cells but for the two after a reduction; those and 8 skips in each of 2 cells; the
    // classifier.
    assert_eq!([0, 1, 2, 3].map(count), [1, 14, 2 + 16, 1]);
    let copies = searched.network.total_params() - fixed.network.total_params();
    let one = |net: &Supernet| -> usize {
        let of_edges = |name: &str| name.contains(".node") && !name.contains("skip_connect");
        let nodes = (0..net.network.nodes.len()).filter(|&i| !of_edges(&net.network.nodes[i].name));
        nodes.map(|i| net.network.n_params(i)).sum()
    };
    assert_eq!(copies, 2 * one(&fixed));

    let mut table = vec![vec![0.2, 0.5, 0.3]; 4];
    table[2] = vec![0.1, 0.2, 0.7];
    table[3] = vec![0.4, 0.4, 0.2];
    let places = searched.places(&table).unwrap();
    assert_eq!(
        (places.stem, places.preprocess, places.reduce),
        (Rule::Fa, Rule::Fa, Rule::Dfa)
    );
    assert_eq!(
        (places.classifier, places.auxiliary),
        (Rule::Usf, Rule::Usf)
    );
    assert!(searched.places(&table[1..]).is_err());
    assert_eq!(fixed.places(&[]).unwrap(), PlaceRules::all(Rule::Usf));

    let one = Places::Searched(vec![Rule::Frsf]);
    let paper = darts::Skeleton {
        coverage: Coverage::Paper,
        ..skeleton
    };
    for (skeleton, places, want) in [
        (skeleton, one, Rule::Frsf),
        (paper, Places::Searched(rules.clone()), Rule::Bp),
    ] {
        let net = net(&skeleton, places);
        assert_eq!(mixes(&net), []);
        assert_eq!(net.places(&[]).unwrap(), PlaceRules::all(want));
    }
    let none = Places::Searched(vec![]);
    assert!(Supernet::new(&skeleton, none, Columns::Flat, 1).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_supernet_becomes_the_genotype_that_its_rows_spell(seed: u64) {
        let space = DartsSpace::new(darts::Skeleton { n_cells: 3, ..darts::Skeleton::search() });
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let genotype = space.sample(&mut rng);
        let columns = Columns::Factored(space.rules.clone());
        let partial = [1, 2, 4][rng.random_range(0..3)];
        let net = Supernet::new(&space.skeleton, genotype.rules, columns, partial).unwrap();
        let mut table = vec![vec![0.01; net.candidates.len()]; Supernet::N_ROWS];
        for (kind, cell) in [genotype.normal, genotype.reduction].iter().enumerate() {
            for (i, edge) in cell.iter().enumerate().flat_map(|(i, n)| n.map(|e| (i, e))) {
                let row = 14 * kind + [0, 2, 5, 9][i] + edge.from;
                let wanted = (Some(edge.gene.op()), edge.gene.rule());
                let column = net.candidates.iter().position(|c| (c.op, c.rule) == wanted);
                table[row][column.unwrap()] = rng.random_range(0.5..1.0);
            }
        }
        prop_assert_eq!(net.discretize(&table, genotype.rules).unwrap(), genotype);
    }
}
