//! Architectures by evolution: the fitness, one CMA-ES, a planted operation, cut and resumed.

use crate::quadrants::Quadrants;
use crate::supernet_gradient::{MAX_POOL, Planted};
use crate::supernet_search::{aplysia, finish, run, skeleton};
use aplysia_learn::supernet::*;
use aplysia_space::darts::{N_EDGES, Op, Skeleton};
use std::ops::ControlFlow;

#[test]
fn the_unlike_count_among_the_good_and_the_like_among_the_bad() {
    assert_eq!(fitness(1.0, (5, 5), 0.75, 0.4), 1.3);
    assert_eq!(fitness(1.0, (4, 5), 0.75, 0.4), 0.7);
    let (net, _) = Planted::new(MAX_POOL);
    let layout = Layout::new(&net, 1);
    let first = layout.coefficients(&layout.first(1));
    assert!((likeness(&first, &first) - 1.0).abs() < 1e-12);
    let mut other = layout.first(1);
    other.candidates.iter_mut().for_each(|row| row[2] = 4.0);
    let other = layout.coefficients(&other);
    // The cosine of a row by hand: nearly uniform against one of 8 with the weight e⁴.
    let e = 4f64.exp();
    let cosine = (e + 7.0) / (8f64.sqrt() * (e * e + 7.0).sqrt());
    assert!((likeness(&first, &other) - (cosine + 1.0) / 2.0).abs() < 1e-3);
}

#[test]
fn one_cma_es_walks_down_a_bowl_and_repeats_itself() {
    let run = |n: usize, bowl: fn(&[f64]) -> f64| {
        let cma = Cma::new(vec![1.0; 6], 0.5, 12, 3);
        let points: Vec<Vec<f64>> = (0..n)
            .map(|_| {
                let point = cma.point().unwrap();
                cma.tell(bowl(&point));
                point
            })
            .collect();
        points
    };
    let bowl = |x: &[f64]| {
        x.iter()
            .enumerate()
            .map(|(i, x)| (i + 1) as f64 * (x + 0.5).powi(2))
            .sum()
    };
    let points = run(12 * 60, bowl);
    assert!(bowl(&points[0]) > 5.0);
    assert!(points[12 * 59..].iter().all(|p| bowl(p) < 1e-2));
    assert_eq!(run(12 * 5, bowl), points[..60]);
    // Another answer, other points; not a number, no point.
    assert_ne!(run(12 * 5, |x| x[0])[30..], points[30..60]);
    let cma = Cma::new(vec![1.0; 2], 0.5, 4, 3);
    cma.point();
    cma.tell(f64::NAN);
    assert_eq!(cma.point(), None);
}

#[test]
fn a_step_goes_towards_the_best_within_the_bound() {
    let c = EvolutionConfig {
        step: 0.25,
        bound: 1.0,
        ..EvolutionConfig::default()
    };
    assert_eq!(
        towards(&[0.0, 1.0, -1.0], &[0.4, 9.0, -1.0], &c),
        [0.1, 1.0, -1.0]
    );
}

/// With weights that stay, the cell has to find what gave the labels, from losses alone: 14 edges, 112 logits.
#[test]
fn evolution_finds_what_was_planted() {
    let one_cell = Skeleton {
        n_cells: 1,
        ..skeleton()
    };
    let (net, data) = Planted::of(&one_cell, MAX_POOL, [192, 1500]);
    let config = SupernetConfig {
        epochs: 4,
        warm_epochs: 1,
        min_lr: 0.0,
        evolution: Some(EvolutionConfig {
            population: 16,
            generations: 20,
            batches: 1,
            sigma: 1.0,
            step: 0.1,
            likeness: 0.0,
            bound: 4.0,
        }),
        ..SupernetConfig::default()
    };
    let found = search(&data.job(&net, &config, None), &mut |_| {
        ControlFlow::Continue(())
    });
    let found = found.unwrap();
    assert!(found.logits.numbers().iter().all(|a| a.abs() <= 4.0));
    let losses: Vec<f32> = found.history.iter().filter_map(|e| e.alpha_loss).collect();
    assert_eq!(losses.len(), config.epochs - config.warm_epochs);
    // The only cell is a reduction.
    let q = Layout::new(&net, 1).coefficients(&found.logits).candidates;
    let rows = &q[N_EDGES..];
    let mean = |j: usize| rows.iter().map(|row| row[j]).sum::<f64>() / rows.len() as f64;
    let means: Vec<f64> = (0..q[0].len()).map(mean).collect();
    let edges = found.genotype.reduction.iter().flatten();
    let planted = edges.filter(|e| e.gene.op() == Op::MaxPool3).count();
    let others = (0..means.len()).filter(|&j| j != MAX_POOL);
    let next = others.map(|j| means[j]).fold(0.0, f64::max);
    assert!(losses[losses.len() - 1] < 0.6 * losses[0], "{losses:?}");
    assert!(means[MAX_POOL] > 2.0 * next, "{means:?}");
    assert!(planted >= 4, "{:?}", found.genotype);
}

/// Before the architecture learns, between generations, between steps; with all the settings that draw.
#[test]
fn a_search_cut_at_any_generation_or_step_equals_an_uninterrupted_one() {
    let data = Quadrants::new(48, 1);
    for sample_rules in [true, false] {
        let config = SupernetConfig {
            epochs: 3,
            warm_epochs: 1,
            sample_rules,
            evolution: Some(EvolutionConfig {
                population: 5,
                generations: 3,
                batches: 2,
                ..EvolutionConfig::default()
            }),
            ..SupernetConfig::default()
        };
        let whole = run(&config, &data, None, None).unwrap();
        assert!(whole.history[0].alpha_loss.is_none());
        assert!(whole.history[2].alpha_loss.is_some());
        let dir = tempfile::tempdir().unwrap();
        // An epoch is three steps; the second begins after step 3.
        for stop in [2, 3, 4, 6, 8, 11] {
            let path = dir.path().join(format!("{stop}.bin"));
            let cut = run(&config, &data, Some(&path), Some(stop)).unwrap();
            assert!(!cut.finished, "{stop}");
            let resumed = run(&config, &data, Some(&path), None).unwrap();
            assert_eq!(resumed, whole, "cut at {stop}");
        }
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let refused = |change: &dyn Fn(&mut SupernetConfig, &mut EvolutionConfig)| {
        let (mut config, mut evolution) = Default::default();
        change(&mut config, &mut evolution);
        config.evolution = Some(evolution);
        config.check().unwrap_err().to_string()
    };
    for (message, words) in [
        (
            refused(&|_, e| e.population = 3),
            "evolution.population = 3",
        ),
        (refused(&|_, e| e.generations = 0), "evolution.generations"),
        (refused(&|_, e| e.batches = 0), "evolution.batches"),
        (refused(&|_, e| e.sigma = f64::NAN), "evolution.sigma"),
        (refused(&|_, e| e.step = 1.5), "allowed: 0 to 1"),
        (refused(&|_, e| e.likeness = -0.1), "evolution.likeness"),
        (refused(&|_, e| e.bound = 0.0), "evolution.bound"),
        (refused(&|c, _| c.second_order = true), "takes no gradient"),
    ] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_study_of_evolved_candidates_runs_from_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let study = dir.path().join("study");
    let line = "search PATH --space darts --strategy eg-nas --channels 4 --cells 2 --images 64 --rungs 1 --seed 5 \
                --batch 16 --clip-norm 5 --supernet-epochs 2 --rules usf,fa --es-population 4 --es-generations 2 \
                --es-batches 1";
    let refused = aplysia(&format!("{line} --es-step 2"), &study);
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(errors.contains("evolution.step = 2"), "{errors}");
    assert!(!study.exists());
    let story = finish(line, &study);
    assert!(story.contains("supernet epoch   2"), "{story}");
    let settings = std::fs::read_to_string(study.join("study.toml")).unwrap();
    assert!(settings.contains("strategy = \"eg-nas\""), "{settings}");
    assert!(settings.contains("population = 4"), "{settings}");
}
