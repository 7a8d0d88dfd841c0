//! Random crops and colours against slow references; draws by seed.

use aplysia_data::ImageShape;
use aplysia_data::augmentation::{ColourJitter, CropWindow};
use aplysia_learn::{Augment, Images};
use aplysia_space::Shape;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn picture(shape: ImageShape, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..shape.len()).map(|_| rng.random()).collect()
}

/// The value at a place between pixels: the sum over all pixels of the window, each by a tent around it.
fn tent(image: &[u8], shape: ImageShape, window: CropWindow, at: [f64; 2], channel: usize) -> f64 {
    let clamp = |v: f64, n: usize| v.clamp(0.0, (n - 1) as f64);
    let (y, x) = (clamp(at[0], window.h), clamp(at[1], window.w));
    let weight = |distance: f64| (1.0 - distance.abs()).max(0.0);
    let mut sum = 0.0;
    for i in 0..window.h {
        for j in 0..window.w {
            let pixel = ((window.top + i) * shape.w + window.left + j) * shape.c + channel;
            sum += weight(y - i as f64) * weight(x - j as f64) * f64::from(image[pixel]);
        }
    }
    sum
}

/// Hue in 0..6, saturation and value to red, green and blue, by the formula with one expression per
/// channel.
fn from_hsv([h, s, v]: [f64; 3]) -> [f64; 3] {
    [5.0, 3.0, 1.0].map(|n| {
        let k = (n + h) % 6.0;
        v - v * s * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

fn to_hsv([r, g, b]: [f64; 3]) -> [f64; 3] {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    if max == min {
        return [0.0, 0.0, max];
    }
    // The hue as an angle in the plane across the grey axis is another one; this is the hexagon's.
    let c = max - min;
    let h = [(r, 0.0, g - b), (g, 2.0, b - r), (b, 4.0, r - g)];
    let (_, first, rest) = h.into_iter().find(|(v, ..)| *v == max).unwrap();
    [(first + rest / c + 6.0) % 6.0, c / max, max]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_window_lies_within_and_is_resized_as_tents_say(seed: u64, h in 1usize..14, w in 1usize..14, c in 1usize..4) {
        let shape = ImageShape { h, w, c };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let window = CropWindow::draw(shape, 0.08, &mut rng);
        prop_assert!(window.h >= 1 && window.w >= 1);
        prop_assert!(window.top + window.h <= h && window.left + window.w <= w);
        let image = picture(shape, seed);
        let got = window.resized(shape, &image);
        for y in 0..h {
            for x in 0..w {
                let at = [(y, window.h, h), (x, window.w, w)]
                    .map(|(i, n, n_out)| (i as f64 + 0.5) * n as f64 / n_out as f64 - 0.5);
                for channel in 0..c {
                    let want = tent(&image, shape, window, at, channel);
                    let got = f64::from(got[(y * w + x) * c + channel]);
                    prop_assert!((got - want).abs() <= 0.501, "{window:?} {got} {want}");
                }
            }
        }
    }

    #[test]
    fn colours_change_one_by_one_as_their_definitions_say(seed: u64, amount in 0.05f64..0.5, kind in 0usize..4) {
        let shape = ImageShape { h: 4, w: 3, c: 3 };
        let image = picture(shape, seed);
        let range = |which: usize| if which == kind { amount } else { 0.0 };
        let jitter = ColourJitter { brightness: range(0), contrast: range(1), saturation: range(2), hue: range(3) };
        let mut changed = image.clone();
        jitter.draw(&mut ChaCha8Rng::seed_from_u64(seed)).apply(3, &mut changed);
        // The draw that was made: brightness, contrast, saturation, hue, in this order.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let factors = [0, 1, 2].map(|i| rng.random_range(1.0 - range(i)..=1.0 + range(i)));
        let turn = rng.random_range(-range(3)..=range(3));
        let pixels: Vec<[f64; 3]> = image.chunks(3).map(|p| [0, 1, 2].map(|i| f64::from(p[i]) / 255.0)).collect();
        let grey = |p: &[f64; 3]| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
        let mean = pixels.iter().map(grey).sum::<f64>() / pixels.len() as f64;
        for (p, got) in pixels.iter().zip(changed.chunks(3)) {
            let want = match kind {
                0 => p.map(|v| v * factors[0]),
                1 => p.map(|v| mean + factors[1] * (v - mean)),
                2 => p.map(|v| grey(p) + factors[2] * (v - grey(p))),
                _ => {
                    let [h, s, v] = to_hsv(*p);
                    from_hsv([(h + 6.0 * turn).rem_euclid(6.0), s, v])
                }
            };
            for (want, &got) in want.iter().zip(got) {
                let want = 255.0 * want.clamp(0.0, 1.0);
                prop_assert!((want - f64::from(got)).abs() <= 0.51, "{kind} {want} {got}");
            }
        }
    }
}

#[test]
fn areas_and_aspects_of_windows_are_spread_over_their_ranges() {
    let shape = ImageShape { h: 64, w: 64, c: 1 };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let windows: Vec<CropWindow> = (0..2000)
        .map(|_| CropWindow::draw(shape, 0.08, &mut rng))
        .collect();
    let areas: Vec<f64> = windows
        .iter()
        .map(|w| (w.h * w.w) as f64 / 4096.0)
        .collect();
    let mean = areas.iter().sum::<f64>() / 2000.0;
    // U(0.08, 1) has the mean 0.54; the largest windows are drawn again where they do not fit.
    assert!((0.47..0.55).contains(&mean), "{mean}");
    assert!(areas.iter().all(|a| (0.07..=1.0).contains(a)));
    let aspects = windows.iter().map(|w| w.w as f64 / w.h as f64);
    assert!(aspects.clone().all(|a| (0.7..1.45).contains(&a)));
    assert!(aspects.clone().any(|a| a < 0.8) && aspects.clone().any(|a| a > 1.25));
}

/// Batches by seed and step; without crops and colours they are what they were before there were any.
#[test]
fn batches_follow_seed_and_step() {
    let shape = ImageShape { h: 8, w: 8, c: 3 };
    let pixels: Vec<u8> = (0..6).flat_map(|i| picture(shape, i)).collect();
    let images = Images {
        pixels: (&pixels).into(),
        labels: &[0; 6],
        shape: Shape { h: 8, w: 8, c: 3 },
        mean_pixel: &[128; 3],
        std: 0.25,
    };
    let all = Augment {
        resized_crop: 0.2,
        jitter: [0.4, 0.4, 0.4, 0.2],
        ..Augment::default()
    };
    let batch =
        |augment: Augment, seed, step| augment.batch(&images, &[5, 0, 3, 3], (seed, step)).unwrap();
    assert_eq!(batch(all, 1, 2), batch(all, 1, 2));
    assert_ne!(batch(all, 1, 2), batch(all, 1, 3));
    assert_ne!(batch(all, 1, 2), batch(all, 2, 2));
    // The same picture twice in a batch is changed in two ways.
    let n = images.shape.len();
    let got = batch(all, 1, 2);
    assert_ne!(got[2 * n..3 * n], got[3 * n..]);
    // Crop and colours leave the other draws alone: a crop of everything changes nothing.
    let whole = Augment {
        resized_crop: 1.0,
        ..Augment::default()
    };
    let plain = batch(Augment::default(), 1, 2);
    assert!(plain.contains(&0.0));
    assert_eq!(batch(whole, 1, 2).len(), plain.len());
    let colours = Augment {
        jitter: [0.4, 0.0, 0.0, 0.0],
        ..Augment::default()
    };
    let zeros = |b: &[f32]| b.iter().filter(|v| **v == 0.0).count();
    let same_shift = batch(colours, 1, 2);
    assert_eq!(same_shift.len(), plain.len());
    assert!(zeros(&same_shift) + 12 >= zeros(&plain));
    assert_ne!(same_shift, plain);
}
