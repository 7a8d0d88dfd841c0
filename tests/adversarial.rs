//! Every attack on a victim of which the worst case is known, its losses against finite differences, and
//! its budget, seeds and independence of neighbours.

use crate::linear_victim::{Answered, Linear, SHAPE};
use aplysia_attack::{
    Batch, Budget, How, Loss, OnePixel, Target, apgd, fgsm, margin, one_pixel, pgd, predicted,
    square, tpgd, window_share,
};
use proptest::prelude::*;

const EPSILON: f32 = 0.06;

fn how(n_steps: usize, stop: bool) -> How {
    How {
        epsilon: EPSILON,
        n_steps,
        seed: 5,
        restart: 0,
        stop,
    }
}

const PIXEL: OnePixel = OnePixel {
    n_pixels: 1,
    population: 40,
    generations: 30,
    seed: 5,
};

/// Every attack by one name.
fn attacks() -> Vec<(&'static str, Attacked)> {
    vec![
        ("fgsm", |t, b, h| fgsm(t, b, h)),
        ("pgd", |t, b, h| pgd(t, b, h)),
        ("tpgd", |t, b, h| tpgd(t, b, h)),
        ("apgd-ce", |t, b, h| apgd(t, b, Loss::CrossEntropy, h)),
        ("apgd-dlr", |t, b, h| apgd(t, b, Loss::Dlr, h)),
        ("square", |t, b, h| square(t, b, h)),
        ("one-pixel", |t, b, h| {
            one_pixel(
                t,
                b,
                &OnePixel {
                    seed: h.seed,
                    ..PIXEL
                },
            )
        }),
    ]
}

type Attacked = fn(&dyn Target, &Batch, &How) -> Vec<f32>;

fn rows(values: &[f32]) -> impl Iterator<Item = &[f32]> {
    values.chunks(SHAPE.n_values())
}

/// Margins of `images` and their smallest possible ones, of a victim with two classes.
fn margins(victim: &Linear, set: &Answered, images: &[f32]) -> Vec<(f32, f32)> {
    let logits = victim.logits(images);
    let found = logits
        .chunks(2)
        .zip(&set.labels)
        .map(|(z, &y)| margin(z, y));
    let cleans = rows(&set.pixels).zip(&set.labels);
    let least = cleans.map(|(v, &y)| victim.worst(v, y, usize::from(1 - y), EPSILON));
    found.zip(least).collect()
}

#[test]
fn gradient_attacks_reach_the_closed_form_on_a_linear_victim() {
    for seed in 0..6 {
        let victim = Linear::random(2, seed);
        let set = Answered::new(&victim, 9, seed);
        let batch = set.batch();
        let mut found = vec![
            fgsm(&victim, &batch, &how(1, false)),
            pgd(&victim, &batch, &how(20, false)),
        ];
        found.push(apgd(&victim, &batch, Loss::CrossEntropy, &how(30, false)));
        for images in found {
            for (got, least) in margins(&victim, &set, &images) {
                assert!((got - least).abs() < 1e-4, "{got}, {least}");
            }
        }
        // Knows no label: the answer goes as far as it can to one of the two sides.
        let images = tpgd(&victim, &batch, &how(20, false));
        for (i, (got, least)) in margins(&victim, &set, &images).into_iter().enumerate() {
            let (clean, y) = (batch_image(&set, i), set.labels[i]);
            let most = -victim.worst(clean, 1 - y, usize::from(y), EPSILON);
            let corner = (got - least).abs().min((got - most).abs());
            assert!(corner < 1e-4, "{got}: {least} or {most}");
        }
    }
}

fn batch_image(set: &Answered, i: usize) -> &[f32] {
    rows(&set.pixels).nth(i).unwrap()
}

#[test]
fn dlr_reaches_the_closed_form_of_the_nearest_rival() {
    // Three classes, of which the third is far below: the ratio's numerator decides.
    let mut victim = Linear::random(3, 4);
    victim.weights[2] = vec![0.0; SHAPE.n_values()];
    victim.bias[2] = -1000.0;
    let set = Answered::new(&victim, 8, 2);
    let images = apgd(&victim, &set.batch(), Loss::Dlr, &how(60, false));
    let logits = victim.logits(&images);
    for (i, z) in logits.chunks(3).enumerate() {
        let y = set.labels[i];
        let least = victim.worst(batch_image(&set, i), y, usize::from(1 - y), EPSILON);
        assert!(
            (margin(z, y) - least).abs() < 0.02,
            "{} {least}",
            margin(z, y)
        );
    }
}

#[test]
fn dlr_of_given_logits() {
    // −(z_y − z_rival) / (z_(1) − z_(3))
    for (z, label, want) in [
        ([3.0, 1.0, 0.0, -5.0], 0, -2.0 / 3.0),
        ([3.0, 1.0, 0.0, -5.0], 1, 2.0 / 3.0),
        ([3.0, 1.0, 0.0, -5.0], 3, 8.0 / 3.0),
        ([30.0, 10.0, 0.0, -50.0], 0, -2.0 / 3.0),
        ([103.0, 101.0, 100.0, 95.0], 0, -2.0 / 3.0),
    ] {
        let (value, _) = Loss::Dlr.at(&z, label, 0);
        assert!((value - want).abs() < 1e-6, "{z:?}: {value}");
    }
}

/// The derivative of `loss` at `z` against central differences.
fn check_derivative(loss: Loss, z: &[f32], label: u16) -> Result<(), TestCaseError> {
    let step = 1.0 / 1024.0;
    let (_, error) = loss.at(z, label, 0);
    for i in 0..z.len() {
        let moved = |by: f32| {
            let mut z = z.to_vec();
            z[i] += by;
            loss.at(&z, label, 0).0
        };
        let want = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
        let tolerance = 2e-3 * (1.0 + want.abs());
        prop_assert!(
            (error[i] - want).abs() < tolerance,
            "{i}: {} {want}",
            error[i]
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn losses_have_the_derivatives_they_give(
        order in Just([0.0_f32, 1.0, 2.0, 3.0, 4.0]).prop_shuffle(),
        shift in proptest::array::uniform5(0.0_f32..0.8),
        reference in proptest::array::uniform5(-3.0_f32..3.0),
        label in 0_u16..5,
    ) {
        // No two logits so close that a step could change their order, where DLR has a kink.
        let z: Vec<f32> = order.iter().zip(&shift).map(|(a, b)| a + b).collect();
        check_derivative(Loss::CrossEntropy, &z, label)?;
        check_derivative(Loss::Dlr, &z, label)?;
        check_derivative(Loss::Divergence(&reference), &z, label)?;
        let (value, error) = Loss::Divergence(&z).at(&z, label, 0);
        prop_assert!(value.abs() < 1e-12 && error.iter().all(|e| e.abs() < 1e-12));
    }

    #[test]
    fn no_attack_leaves_its_budget_or_depends_on_neighbours(seed in 0_u64..500, n_classes in 3_usize..6) {
        let victim = Linear::random(n_classes, seed);
        let set = Answered::new(&victim, 3, seed);
        for (name, attack) in attacks() {
            let how = How { seed, ..how(12, seed % 2 == 0) };
            let images = attack(&victim, &set.batch(), &how);
            let budget = match name {
                "one-pixel" => Budget::Pixels(1),
                _ => Budget::Change(EPSILON),
            };
            prop_assert!(attack(&victim, &set.batch(), &how) == images, "{name}");
            for (i, image) in rows(&images).enumerate() {
                let clean = batch_image(&set, i);
                prop_assert!(budget.spent(clean, image, SHAPE) <= budget.allowed(), "{name}");
                let alone = Batch {
                    pixels: clean,
                    labels: &set.labels[i..=i],
                    ids: &set.ids[i..=i],
                    shape: SHAPE,
                };
                prop_assert!(attack(&victim, &alone, &how) == image, "{name}: neighbours matter");
            }
        }
    }
}

#[test]
fn a_confident_answer_still_has_a_direction() {
    let (value, error) = Loss::CrossEntropy.at(&[200.0, 0.0, -1.0], 0, 0);
    let want = (-200.0_f64).exp() * (1.0 + (-1.0_f64).exp());
    assert!((value / want - 1.0).abs() < 1e-9 && (error[0] / -want - 1.0).abs() < 1e-9);
    assert!(error[1] > error[2] && error[2] > 0.0, "{error:?}");
    let mut victim = Linear::random(2, 1);
    victim.weights.iter_mut().flatten().for_each(|w| *w *= 20.0);
    let set = Answered::new(&victim, 5, 1);
    let images = fgsm(&victim, &set.batch(), &how(1, false));
    for (got, least) in margins(&victim, &set, &images) {
        assert!((got - least).abs() < 1e-2, "{got}, {least}");
    }
}

#[test]
fn seeds_matter_where_there_is_chance() {
    let mut victim = Linear::random(3, 8);
    victim.bias = vec![0.0, 0.0, -900.0];
    let set = Answered::new(&victim, 2, 8);
    for (name, attack) in attacks() {
        // One step of APGD goes from anywhere to the corner that is best.
        let n_steps = if name.starts_with("apgd") { 0 } else { 2 };
        let tried = |seed, restart| {
            let how = How {
                seed,
                restart,
                ..how(n_steps, false)
            };
            attack(&victim, &set.batch(), &how)
        };
        assert_eq!(tried(1, 0) == tried(2, 0), name == "fgsm", "{name}");
        let fixed = matches!(name, "fgsm" | "one-pixel");
        assert_eq!(tried(1, 0) == tried(1, 1), fixed, "{name}");
    }
}

#[test]
fn a_wrong_answer_is_left_alone_if_it_ends_the_attack() {
    let victim = Linear::random(4, 3);
    let mut set = Answered::new(&victim, 4, 3);
    set.labels.iter_mut().for_each(|y| *y = (*y + 1) % 4);
    let batch = set.batch();
    assert_eq!(fgsm(&victim, &batch, &how(1, true)), set.pixels);
    assert_ne!(fgsm(&victim, &batch, &how(1, false)), set.pixels);
    // The start is random, then nothing moves.
    let short = pgd(&victim, &batch, &how(1, true));
    assert_eq!(pgd(&victim, &batch, &how(20, true)), short);
}

#[test]
fn square_keeps_the_smallest_margin_it_saw() {
    let mut victim = Linear::random(2, 6);
    let set = Answered::new(&victim, 1, 6);
    // Far from the boundary, so that no query ends the attack.
    victim.bias[usize::from(set.labels[0])] = 50.0;
    let images = square(&victim, &set.batch(), &how(3000, true));
    let asked = victim.asked.take();
    assert_eq!(asked.len(), 3000);
    let seen = asked
        .iter()
        .map(|image| margin(&victim.logits(image), set.labels[0]));
    let seen: Vec<f32> = seen.collect();
    let least = seen.iter().copied().fold(f32::INFINITY, f32::min);
    let (got, bound) = margins(&victim, &set, &images)[0];
    assert_eq!(got, least);
    // Black box, yet close to the best there is.
    let start = margin(&victim.logits(&set.pixels), set.labels[0]);
    assert!(
        got >= bound - 1e-4 && start - got > 0.95 * (start - bound),
        "{start} {got} {bound}"
    );
}

#[test]
fn windows_shrink_as_published() {
    let shares = [0, 10, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001, 9999];
    for (halvings, query) in [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9].into_iter().zip(shares) {
        assert_eq!(
            window_share(query, 10_000),
            0.8 / f64::from(1 << halvings),
            "{query}"
        );
    }
    assert_eq!(window_share(600, 5000), window_share(1200, 10_000));
}

#[test]
fn one_pixel_finds_the_best_pixel_of_a_linear_victim() {
    let mut victim = Linear::random(2, 9);
    let set = Answered::new(&victim, 3, 9);
    for (i, clean) in rows(&set.pixels).enumerate() {
        let y = usize::from(set.labels[i]);
        victim.bias = vec![0.0; 2];
        victim.bias[y] = 50.0;
        let gain = |pixel: usize| -> f32 {
            let channels = (0..SHAPE.c).map(|c| {
                let at = pixel * SHAPE.c + c;
                let slope = victim.weights[y][at] - victim.weights[1 - y][at];
                if slope > 0.0 {
                    slope * clean[at]
                } else {
                    slope * (clean[at] - 1.0)
                }
            });
            channels.sum()
        };
        let best = (0..SHAPE.h * SHAPE.w).map(gain).fold(0.0, f32::max);
        let alone = Batch {
            pixels: clean,
            labels: &set.labels[i..=i],
            ids: &set.ids[i..=i],
            shape: SHAPE,
        };
        let image = one_pixel(&victim, &alone, &PIXEL);
        assert_eq!(Budget::Pixels(1).spent(clean, &image, SHAPE), 1.0);
        let left = |image: &[f32]| margin(&victim.logits(image), set.labels[i]);
        let got = left(clean) - left(&image);
        assert!(got > 0.9 * best && got < best + 1e-4, "{got} of {best}");
    }
}

#[test]
fn one_pixel_stops_at_the_first_wrong_answer() {
    let victim = Linear::random(2, 2);
    let set = Answered::new(&victim, 12, 2);
    let images = one_pixel(&victim, &set.batch(), &PIXEL);
    let logits = victim.logits(&images);
    let wrong = logits
        .chunks(2)
        .zip(&set.labels)
        .filter(|(z, y)| predicted(z) != **y);
    assert!(wrong.count() > 0);
}

#[test]
fn budgets_count_what_they_say() {
    let clean = vec![0.5; SHAPE.n_values()];
    let mut image = clean.clone();
    (image[4], image[5], image[8]) = (0.6, 0.3, 0.5001);
    assert!((Budget::Change(0.1).spent(&clean, &image, SHAPE) - 0.2).abs() < 1e-6);
    assert_eq!(Budget::Pixels(1).spent(&clean, &image, SHAPE), 2.0);
    for bad in [1.01, -0.01, f32::NAN] {
        image[0] = bad;
        assert_eq!(
            Budget::Pixels(9).spent(&clean, &image, SHAPE),
            f32::INFINITY
        );
    }
}
