//! The genotypes of the literature, by name.
//!
//! The rules are those the networks were trained with: `skip_connect` with a rule in its name is a plain
//! skip there, also with stride 2, and everything outside of the edges is back-propagation.
//!
//! Sources: the published code of DARTS (`DARTS_V1`, `DARTS_V2`), of BioNAS (`BIODARTS`, `LR_NAS1`,
//! `DARTS_maxpool`) and of EG-NAS, whose file defines its CIFAR-10 genotype twice (`EG_first`, and
//! `EG_effective`, the one in force).

use super::{Edge, Genotype, Op, PlaceRules};
use crate::Rule;
use crate::gene::Gene;

/// Names that [`published`] knows.
pub const NAMES: [&str; 7] = [
    "BIODARTS",
    "LR_NAS1",
    "DARTS_maxpool",
    "DARTS_V1",
    "DARTS_V2",
    "EG_first",
    "EG_effective",
];

/// The genotype of that name; `BIODARTS2` is `BIODARTS`.
pub fn published(name: &str) -> Option<Genotype> {
    match name {
        "BIODARTS" | "BIODARTS2" => Some(biodarts()),
        "LR_NAS1" => Some(lr_nas1()),
        "DARTS_maxpool" => Some(darts_maxpool()),
        "DARTS_V1" => Some(darts_v1()),
        "DARTS_V2" => Some(darts_v2()),
        "EG_first" => Some(eg_first()),
        "EG_effective" => Some(eg_effective()),
        _ => None,
    }
}

const PLACES: PlaceRules = PlaceRules::all(Rule::Bp);

fn edge(op: Op, rule: Rule, from: usize) -> Edge {
    let gene = Gene::new(op, rule);
    Edge { gene, from }
}

fn max(from: usize) -> Edge {
    edge(Op::MaxPool3, Rule::Bp, from)
}

fn avg(from: usize) -> Edge {
    edge(Op::AvgPool3, Rule::Bp, from)
}

fn skip(from: usize) -> Edge {
    edge(Op::Skip, Rule::Bp, from)
}

fn sep3(rule: Rule, from: usize) -> Edge {
    edge(Op::SepConv3, rule, from)
}

fn sep5(rule: Rule, from: usize) -> Edge {
    edge(Op::SepConv5, rule, from)
}

fn dil3(rule: Rule, from: usize) -> Edge {
    edge(Op::DilConv3, rule, from)
}

fn dil5(rule: Rule, from: usize) -> Edge {
    edge(Op::DilConv5, rule, from)
}

fn biodarts() -> Genotype {
    use Rule::{Frsf, Usf};
    Genotype {
        normal: [
            [skip(0), skip(1)],
            [sep3(Frsf, 1), sep3(Usf, 2)],
            [sep3(Usf, 0), skip(1)],
            [sep3(Frsf, 1), max(0)],
        ],
        reduction: [
            [max(0), skip(1)],
            [max(0), max(1)],
            [max(0), max(1)],
            [max(0), dil5(Usf, 3)],
        ],
        rules: PLACES,
    }
}

fn lr_nas1() -> Genotype {
    use Rule::{Brsf, Frsf, Usf};
    Genotype {
        normal: [
            [skip(0), skip(1)],
            [sep3(Usf, 0), skip(1)],
            [sep3(Usf, 0), sep3(Frsf, 1)],
            [skip(2), skip(0)],
        ],
        reduction: [
            [skip(1), skip(0)],
            [skip(1), skip(0)],
            [skip(0), dil5(Brsf, 3)],
            [skip(3), skip(0)],
        ],
        rules: PLACES,
    }
}

fn darts_maxpool() -> Genotype {
    use Rule::Usf;
    Genotype {
        normal: [
            [max(0), skip(1)],
            [max(0), skip(2)],
            [max(0), skip(2)],
            [max(0), sep3(Usf, 1)],
        ],
        reduction: [
            [max(0), max(1)],
            [max(0), max(1)],
            [max(0), skip(2)],
            [max(0), max(1)],
        ],
        rules: PLACES,
    }
}

fn darts_v1() -> Genotype {
    use Rule::Bp;
    Genotype {
        normal: [
            [sep3(Bp, 1), sep3(Bp, 0)],
            [skip(0), sep3(Bp, 1)],
            [skip(0), sep3(Bp, 1)],
            [sep3(Bp, 0), skip(2)],
        ],
        reduction: [
            [max(0), max(1)],
            [skip(2), max(0)],
            [max(0), skip(2)],
            [skip(2), avg(0)],
        ],
        rules: PLACES,
    }
}

fn darts_v2() -> Genotype {
    use Rule::Bp;
    Genotype {
        normal: [
            [sep3(Bp, 0), sep3(Bp, 1)],
            [sep3(Bp, 0), sep3(Bp, 1)],
            [sep3(Bp, 1), skip(0)],
            [skip(0), dil3(Bp, 2)],
        ],
        reduction: [
            [max(0), max(1)],
            [skip(2), max(1)],
            [max(0), skip(2)],
            [skip(2), max(1)],
        ],
        rules: PLACES,
    }
}

fn eg_first() -> Genotype {
    use Rule::Bp;
    Genotype {
        normal: [
            [sep3(Bp, 0), sep3(Bp, 1)],
            [sep3(Bp, 1), dil3(Bp, 0)],
            [dil3(Bp, 2), skip(3)],
            [sep3(Bp, 1), dil5(Bp, 3)],
        ],
        reduction: [
            [sep3(Bp, 1), max(0)],
            [dil5(Bp, 2), sep3(Bp, 0)],
            [sep3(Bp, 2), max(0)],
            [dil3(Bp, 3), skip(2)],
        ],
        rules: PLACES,
    }
}

fn eg_effective() -> Genotype {
    use Rule::Bp;
    Genotype {
        normal: [
            [sep5(Bp, 1), sep3(Bp, 0)],
            [dil3(Bp, 2), sep3(Bp, 0)],
            [sep3(Bp, 2), max(0)],
            [avg(0), sep5(Bp, 4)],
        ],
        reduction: [
            [skip(0), max(1)],
            [sep3(Bp, 1), sep3(Bp, 0)],
            [sep5(Bp, 3), max(1)],
            [sep3(Bp, 4), max(2)],
        ],
        rules: PLACES,
    }
}
