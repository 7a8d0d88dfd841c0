//! Float learning from streams: steps against finite differences, statistics against those of training.

use crate::float_network::{INPUT, random_params};
use aplysia_learn::adaptation::{ENTROPY_BATCH, LABEL_BATCH, StreamRule, adapt};
use aplysia_learn::{Device, Images, TrainConfig, batch_gradients, evaluate, recalibrate};
use aplysia_space::{Genotype, Network, NetworkParams};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const N_CLASSES: usize = 4;
const N: usize = 60;

struct Case {
    network: Network,
    params: NetworkParams,
    pixels: Vec<u8>,
    labels: Vec<u16>,
}

impl Case {
    /// Rules other than back-propagation, which the baselines must not follow.
    fn new() -> Self {
        Self::of(N)
    }

    fn of(n: usize) -> Self {
        let genotype = Genotype::from_toml(
            "[stem]\nchannels = 4\nkernel = 3\nstride = 2\nrule = \"frsf\"\n[head]\nrule = \"usf\"\n\
             [[block]]\nop = \"bottleneck\"\nexpansion = 2\nkernel = 3\nstride = 2\nchannels = 8\n\
             residual = false\npool = \"none\"\nrules = [\"usf\", \"brsf\", \"fa\"]\n",
        );
        let network = Network::lower(&genotype.unwrap(), INPUT, N_CLASSES).unwrap();
        let rng = &mut ChaCha8Rng::seed_from_u64(5);
        Self {
            params: random_params(&network, rng),
            network,
            pixels: (0..n * INPUT.len()).map(|_| rng.random()).collect(),
            labels: (0..n).map(|i| (i * i % N_CLASSES) as u16).collect(),
        }
    }

    fn images(&self, n: usize) -> Images<'_> {
        Images {
            pixels: self.pixels[..n * INPUT.len()].into(),
            labels: &self.labels[..n],
            shape: INPUT,
            mean_pixel: &[110],
            std: 0.3,
        }
    }

    fn adapt(&self, rule: StreamRule, n: usize) -> NetworkParams {
        let adapted = adapt(
            &self.network,
            &self.params,
            rule,
            self.images(n),
            &[n],
            Device::Cpu,
        );
        adapted.unwrap().remove(0)
    }

    /// Softmax of every image under running statistics.
    fn probabilities(&self, params: &NetworkParams, n: usize) -> Vec<Vec<f64>> {
        let found = evaluate(&self.network, params, self.images(n), Device::NdArray).unwrap();
        let softmax = |row: &[f32]| {
            let sum: f64 = row.iter().map(|&l| f64::from(l).exp()).sum();
            row.iter().map(|&l| f64::from(l).exp() / sum).collect()
        };
        found.logits.chunks(N_CLASSES).map(softmax).collect()
    }

    fn cross_entropy(&self, params: &NetworkParams, n: usize) -> f64 {
        let rows = self.probabilities(params, n);
        let of = |(row, &label): (&Vec<f64>, &u16)| -row[usize::from(label)].ln();
        rows.iter().zip(&self.labels).map(of).sum::<f64>() / n as f64
    }

    fn entropy(&self, params: &NetworkParams, n: usize) -> f64 {
        let rows = self.probabilities(params, n);
        -rows.iter().flatten().map(|p| p * p.ln()).sum::<f64>() / n as f64
    }
}

/// Every trained number of a layer, by kind.
fn numbers(params: &mut NetworkParams, layer: usize) -> Vec<&mut Vec<f32>> {
    let layer = &mut params.layers[layer];
    let mut all = vec![&mut layer.weight, &mut layer.bias];
    all.extend(
        layer
            .bn
            .iter_mut()
            .flat_map(|bn| [&mut bn.gamma, &mut bn.beta]),
    );
    all
}

fn statistics(params: &NetworkParams) -> Vec<(&Vec<f32>, &Vec<f32>)> {
    let bn = params.layers.iter().flat_map(|layer| &layer.bn);
    bn.map(|bn| (&bn.mean, &bn.var)).collect()
}

#[test]
fn a_step_on_all_layers_is_the_gradient_under_the_statistics_that_stay() {
    let case = Case::new();
    let rate = 1e-3;
    let mut stepped = case.adapt(StreamRule::Labels { rate }, 1);
    assert_eq!(statistics(&stepped), statistics(&case.params));
    let mut n_checked = 0;
    for layer in 0..case.params.layers.len() {
        for kind in 0..4 {
            let mut first = case.params.clone();
            let n = numbers(&mut first, layer).get(kind).map_or(0, |v| v.len());
            for i in (0..n).step_by(1 + n / 3) {
                let old = numbers(&mut first, layer)[kind][i];
                let moved = |by: f32| {
                    let mut params = case.params.clone();
                    numbers(&mut params, layer)[kind][i] += by;
                    case.cross_entropy(&params, 1)
                };
                let slope = (moved(2e-3) - moved(-2e-3)) / 4e-3;
                let step = (old - numbers(&mut stepped, layer)[kind][i]) / rate;
                let error = (f64::from(step) - slope).abs();
                assert!(
                    error < 0.02 + 0.03 * slope.abs(),
                    "{layer} {kind} {i}: {step} {slope}"
                );
                n_checked += usize::from(slope.abs() > 0.02);
            }
        }
    }
    assert!(n_checked > 10, "{n_checked}");
}

#[test]
fn statistics_of_a_stream_are_those_that_training_takes_of_it() {
    let case = Case::new();
    let mut adapted = case.adapt(StreamRule::Reestimate, N);
    let trained = batch_gradients(
        &case.network,
        &case.params,
        case.images(N),
        &TrainConfig::default(),
        Device::NdArray,
    );
    let loss = f64::from(trained.unwrap().loss);
    let (before, after) = (
        case.cross_entropy(&case.params, N),
        case.cross_entropy(&adapted, N),
    );
    assert!(
        (after - loss).abs() < 1e-4 && (before - loss).abs() > 1e-2,
        "{before} {after} {loss}"
    );
    let mut first = case.params.clone();
    for layer in 0..first.layers.len() {
        assert_eq!(numbers(&mut adapted, layer), numbers(&mut first, layer));
    }
}

/// The mean of what each batch of 128 comes to, the last one of 44, and nothing else moves.
#[test]
fn recalibrated_statistics_are_the_mean_over_batches() {
    let case = Case::of(300);
    let images = case.images(300);
    let mut found = recalibrate(&case.network, &case.params, images, Device::Cpu).unwrap();
    let of_batch = |range: std::ops::Range<usize>| {
        let (n, batch) = (range.len(), images.slice(range));
        let rule = StreamRule::Reestimate;
        let kept = adapt(&case.network, &case.params, rule, batch, &[n], Device::Cpu);
        kept.unwrap().remove(0)
    };
    let batches = [0..128, 128..256, 256..300].map(of_batch);
    let mut n_checked = 0;
    for (layer, (mean, var)) in statistics(&found).into_iter().enumerate() {
        for (c, found) in [mean, var].into_iter().enumerate() {
            for (i, &found) in found.iter().enumerate() {
                let of = |params: &NetworkParams| {
                    let (mean, var) = statistics(params)[layer];
                    f64::from([mean, var][c][i])
                };
                let want = batches.iter().map(of).sum::<f64>() / 3.0;
                assert!((f64::from(found) - want).abs() <= 1e-5 * want.abs().max(1.0));
                n_checked += 1;
            }
        }
    }
    assert!(n_checked > 40, "{n_checked}");
    let mut first = case.params.clone();
    for layer in 0..first.layers.len() {
        assert_eq!(numbers(&mut found, layer), numbers(&mut first, layer));
    }
}

#[test]
fn entropy_falls_by_gamma_and_beta_alone() {
    let case = Case::new();
    let rate = 0.01;
    let mut first = case.adapt(StreamRule::Reestimate, ENTROPY_BATCH);
    let mut adapted = case.adapt(StreamRule::Entropy { rate }, ENTROPY_BATCH);
    let (before, after) = (
        case.entropy(&first, ENTROPY_BATCH),
        case.entropy(&adapted, ENTROPY_BATCH),
    );
    assert!(after < before - 1e-3, "{before} {after}");
    let mut n_moved = 0;
    for layer in 0..first.layers.len() {
        let (old, new) = (numbers(&mut first, layer), numbers(&mut adapted, layer));
        assert_eq!((&old[0], &old[1]), (&new[0], &new[1]));
        for (old, new) in old[2..].iter().zip(&new[2..]) {
            for (old, new) in old.iter().zip(new.iter()) {
                // The first step of Adam is the rate, by the gradient's sign.
                let step = (new - old).abs();
                assert!(step < 1e-6 || (step - rate).abs() < 1e-3 * rate, "{step}");
                n_moved += usize::from(step > 0.0);
            }
        }
    }
    assert!(n_moved > 20, "{n_moved}");
}

#[test]
fn batches_learn_their_labels_and_a_checkpoint_cuts_no_stream() {
    let case = Case::new();
    let rule = StreamRule::Batches { rate: 0.05 };
    let (n, device) = (3 * LABEL_BATCH, Device::Cpu);
    let images = case.images(n);
    let ends = [LABEL_BATCH, n, n + 1];
    let kept = adapt(&case.network, &case.params, rule, images, &ends, device).unwrap();
    assert_eq!(kept, [case.adapt(rule, LABEL_BATCH), case.adapt(rule, n)]);
    let before = case.adapt(StreamRule::Reestimate, n);
    assert!(case.cross_entropy(&kept[1], n) < case.cross_entropy(&before, n));
    let rates = [f32::INFINITY, 1e30];
    for rate in rates {
        let rule = StreamRule::Labels { rate };
        assert!(adapt(&case.network, &case.params, rule, images, &[n], device).is_err());
    }
}
