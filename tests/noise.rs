//! Variance of the gradient of a run: against single gradients of the batches that an epoch can have.

use crate::quadrants::{CLASSES, Quadrants, SHAPE};
use aplysia_learn::{
    Augment, Device, GradientNoise, Images, Job, TrainConfig, batch_gradients, gradient_noise,
    train,
};
use aplysia_space::{Design, Network, Rule};

const GENOTYPE: &str = "[stem]\nchannels = 4\nkernel = 3\nstride = 2\nrule = \"bp\"\n\
                        [head]\nrule = \"bp\"\n\
                        [[block]]\nop = \"conv\"\nkernel = 3\nstride = 1\nchannels = 8\nresidual = false\n\
                        pool = \"none\"\nrules = [\"bp\"]\n";

fn network(rule: Rule) -> Network {
    let design = Design::from_toml(GENOTYPE).unwrap().with_rule(rule);
    design.lower(SHAPE, CLASSES).unwrap()
}

fn config(batch: usize) -> TrainConfig {
    TrainConfig {
        epochs: 1,
        batch,
        augment: Augment::NONE,
        seed: 4,
        ..TrainConfig::default()
    }
}

fn noise(
    network: &Network,
    images: Images<'_>,
    config: &TrainConfig,
) -> Vec<Option<GradientNoise>> {
    let job = Job {
        network,
        train: images,
        valid: None,
        config,
        device: Device::Cpu,
        checkpoint: None,
    };
    gradient_noise(&job, 2).unwrap()
}

/// The first parameters of a run: those that a training of no epoch ends with.
fn gradients(network: &Network, images: Images<'_>, config: &TrainConfig) -> Vec<Vec<f32>> {
    let none = TrainConfig {
        epochs: 0,
        schedule_epochs: 1,
        ..config.clone()
    };
    let job = Job {
        network,
        train: images,
        valid: None,
        config: &none,
        device: Device::Cpu,
        checkpoint: None,
    };
    let params = train(&job, &mut |_| std::ops::ControlFlow::Continue(()))
        .unwrap()
        .params;
    let found = batch_gradients(network, &params, images, config, Device::Cpu).unwrap();
    found
        .layers
        .into_iter()
        .map(|layer| layer[0].clone().unwrap())
        .collect()
}

fn part<'a>(of: &'a (Vec<u8>, Vec<u16>), like: Images<'a>) -> Images<'a> {
    Images {
        pixels: (&of.0).into(),
        labels: &of.1,
        ..like
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-3 * (a.abs() + b.abs()) + 1e-9
}

#[test]
fn the_two_batches_of_an_epoch_have_the_variance_of_their_gradients() {
    let data = Quadrants::new(4, 7);
    let (all, network, config) = (data.images(), network(Rule::Bp), config(2));
    let found = noise(&network, all, &config);
    // Four images make two batches of two in three ways.
    let matches = [[0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2]]
        .iter()
        .any(|order| {
            let halves = [&order[..2], &order[2..]].map(|half| {
                let pixels = half
                    .iter()
                    .flat_map(|&i| &data.pixels[i * SHAPE.len()..][..SHAPE.len()]);
                let labels = half.iter().map(|&i| all.labels[i]);
                (
                    pixels.copied().collect::<Vec<u8>>(),
                    labels.collect::<Vec<u16>>(),
                )
            });
            let [a, b] = [0, 1].map(|i| gradients(&network, part(&halves[i], all), &config));
            found.iter().zip(a.iter().zip(&b)).all(|(found, (a, b))| {
                let pairs = a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
                let (mut variance, mut square) = (0.0, 0.0);
                for (a, b) in pairs {
                    variance += (a - b).powi(2) / 2.0;
                    square += ((a + b) / 2.0).powi(2);
                }
                let found = found.unwrap();
                found.n_weights == a.len()
                    && close(found.variance, variance)
                    && close(found.mean_square, square)
            })
        });
    assert!(matches, "{found:?}");
}

#[test]
fn equal_images_leave_only_the_variance_of_random_feedback() {
    let one = Quadrants::new(1, 3);
    let image = one.images();
    let same = (one.pixels.repeat(8), image.labels.repeat(8));
    let config = config(4);
    let of = |rule| noise(&network(rule), part(&same, image), &config);
    for rule in [Rule::Bp, Rule::Fa, Rule::Usf, Rule::Kp] {
        for layer in of(rule).into_iter().flatten() {
            assert!(
                layer.variance <= 1e-9 * layer.mean_square,
                "{rule} {layer:?}"
            );
        }
    }
    let brsf = of(Rule::Brsf);
    let (head, stem) = (brsf.last().unwrap().unwrap(), brsf[0].unwrap());
    assert!(head.variance <= 1e-9 * head.mean_square, "{head:?}");
    assert!(stem.variance > 1e-3 * stem.mean_square, "{stem:?}");
}
