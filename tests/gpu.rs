//! The kernels of GPUs on every GPU that this build and this machine have: convolutions, batch norm, maps and
//! updates against f64 loops and the operations composed of burn's; training against the CPU.
//!
//! Compiled with a feature only: `cargo test --release --workspace --features aplysia-tests/wgpu gpu::` runs on
//! anything with Vulkan, Mesa's software driver (Debian: mesa-vulkan-drivers) among them. It has not run on CUDA, where
//! products in TF32 may exceed the tolerances, and shut a ReLU that is open here.

use crate::gradient::{self, N, Values, assert_close, draw, numbers, tensor};
use crate::training;
use aplysia_learn::burn::backend::{Autodiff, NdArray};
use aplysia_learn::burn::tensor::Tensor;
use aplysia_learn::ops::{ConvGeometry, Descent, LearnOps, NormSaved, unwrap, wrap};
use aplysia_learn::{Device, TrainConfig};
use aplysia_space::Rule;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The GPUs of this build that are here.
fn devices() -> Vec<Device> {
    let built = [
        (cfg!(feature = "cuda"), Device::Cuda),
        (cfg!(feature = "wgpu"), Device::Wgpu),
    ];
    let built: Vec<_> = built.into_iter().filter(|b| b.0).map(|b| b.1).collect();
    let (here, missing): (Vec<_>, Vec<_>) = built.into_iter().partition(|d| d.check().is_ok());
    assert!(!here.is_empty(), "{missing:?}: built for and not here");
    here
}

/// Runs `$test::<B>(…)` on the backend of every device.
macro_rules! on_gpus {
    ($test:ident($($argument:expr),*)) => {
        for device in devices() {
            match device {
                #[cfg(feature = "cuda")]
                Device::Cuda => $test::<aplysia_learn::gpu::Cuda>($($argument),*),
                #[cfg(feature = "wgpu")]
                Device::Wgpu => $test::<aplysia_learn::gpu::Wgpu>($($argument),*),
                other => unreachable!("{other:?} is no GPU"),
            }
        }
    };
}

/// Those of the CPU's kernels, and more channels than a cube is wide.
fn cases() -> Vec<ConvGeometry> {
    use gradient::{bare, dilated, geometry, grouped, strided};
    let mut cases = gradient::cases();
    cases.extend([
        grouped(geometry(9, 100, 100, 3), 100),
        bare(grouped(strided(geometry(9, 33, 33, 5)), 33), false),
        bare(grouped(dilated(geometry(8, 48, 48, 5)), 48), false),
        geometry(9, 100, 37, 1),
        strided(geometry(9, 1, 1, 3)),
        bare(strided(geometry(8, 20, 40, 1)), false),
    ]);
    cases
}

fn convolutions<B: LearnOps>() {
    for (i, g) in cases().iter().enumerate() {
        let v = Values::new(g, 300 + i as u64);
        let want = gradient::reference(g, &v);
        let got = gradient::gradients::<B>(g, &v, <Autodiff<B> as LearnOps>::conv);
        gradient::check(g, &got, &want, &B::name(&Default::default()));
        let again = gradient::gradients::<B>(g, &v, <Autodiff<B> as LearnOps>::conv);
        assert_eq!(got, again, "{g:?}: the same bits");
    }
}

#[test]
fn convolutions_equal_loops() {
    on_gpus!(convolutions());
}

fn inference<B: LearnOps>() {
    fn infer<B: LearnOps>(g: &ConvGeometry, v: &Values) -> Vec<f32> {
        let x = tensor::<B, 4>(&v.x, [N, g.input.h, g.input.w, g.input.c]);
        let flat = |values: &[f32]| unwrap(tensor::<B, 1>(values, [values.len()]));
        let (w, a, b) = (flat(&v.weight), flat(&v.gamma), flat(&v.beta));
        numbers(wrap::<B, 4>(B::conv_infer(unwrap(x), w, a, b, g)))
    }
    for (i, g) in cases().iter().enumerate() {
        let v = Values::new(g, 400 + i as u64);
        assert_close(&infer::<B>(g, &v), &infer::<NdArray>(g, &v), "inference");
    }
}

#[test]
fn inference_equals_composed() {
    on_gpus!(inference());
}

/// Batch norm far from 0, in many parts and in one.
fn norm<B: LearnOps>() {
    fn run<B: LearnOps>(shape: [usize; 4], values: [&[f32]; 4]) -> Vec<Vec<f32>> {
        let c = shape[3];
        let flat = |values: &[f32]| unwrap(tensor::<B, 1>(values, [c]));
        let x = || unwrap(tensor::<B, 4>(values[0], shape));
        let [out, mean, var] = B::norm_forward(x(), flat(values[1]), flat(values[2]));
        let saved = NormSaved {
            x: x(),
            mean: mean.clone(),
            var: var.clone(),
            gamma: flat(values[1]),
            beta: flat(values[2]),
        };
        let back = B::norm_backward(saved, unwrap(tensor::<B, 4>(values[3], shape)));
        let flat = [mean, var, back.gamma, back.beta].map(|t| numbers(wrap::<B, 1>(t)));
        let maps = [out, back.x].map(|t| numbers(wrap::<B, 4>(t)));
        [&maps[..], &flat].concat()
    }
    for (seed, shape) in [[3, 2, 1, 1], [7, 5, 3, 70], [40, 30, 31, 3]]
        .into_iter()
        .enumerate()
    {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed as u64);
        let (n, c) = (shape.iter().product(), shape[3]);
        let far = |x: f32| x + 50.0;
        let x: Vec<_> = draw(rng, n).into_iter().map(far).collect();
        let [gamma, beta, upstream] = [c, c, n].map(|n| draw(rng, n));
        let values = [&x[..], &gamma, &beta, &upstream];
        let (got, want) = (run::<B>(shape, values), run::<NdArray>(shape, values));
        for (got, want) in got.iter().zip(&want) {
            assert_close(got, want, &format!("{shape:?}"));
        }
    }
}

#[test]
fn batch_norm_equals_composed() {
    on_gpus!(norm());
}

fn maps<B: LearnOps>() {
    fn run<B: LearnOps>(values: &[Vec<f32>], side: usize, widths: &[usize]) -> Vec<Vec<f32>> {
        let shape = |c: usize| [N, side, side + 1, c];
        let map = |(v, &c): (&Vec<f32>, &usize)| unwrap(tensor::<B, 4>(v, shape(c)));
        let maps: Vec<_> = values.iter().zip(widths).map(map).collect();
        let all = B::concat_forward(maps.clone());
        let mut out = B::split(all.clone(), widths);
        out.extend([false, true].map(|back| B::shift_forward(all.clone(), back)));
        let open = B::rectify_forward(all.clone());
        out.push(B::rectify_backward(open.clone(), all.clone()));
        out.extend([open, all]);
        out.into_iter().map(|t| numbers(wrap::<B, 4>(t))).collect()
    }
    for (side, widths) in [
        (4, &[3, 8][..]),
        (5, &[16, 1, 5, 8]),
        (3, &[2, 4, 6]),
        (1, &[4]),
    ] {
        let rng = &mut ChaCha8Rng::seed_from_u64(side as u64);
        let draw = |c: &usize| draw(rng, N * side * (side + 1) * c);
        let values: Vec<_> = widths.iter().map(draw).collect();
        let want = run::<NdArray>(&values, side, widths);
        assert_eq!(run::<B>(&values, side, widths), want, "{widths:?}");
    }
}

#[test]
fn maps_equal_composed() {
    on_gpus!(maps());
}

fn updates<B: LearnOps>() {
    /// Of vectors of so many numbers, more than fit into a launch.
    fn run<B: LearnOps>(values: &[Vec<Vec<f32>>; 3]) -> Vec<Vec<f32>> {
        let n = values[0].len();
        let flat = |of: usize, i: usize| {
            let values = &values[of][i];
            unwrap(tensor::<B, 1>(values, [values.len()]))
        };
        let step = |decay, clip, nesterov| Descent {
            lr: 0.1,
            momentum: 0.9,
            nesterov,
            decay,
            clip,
        };
        let mut all = vec![];
        for step in [step(0.0, 1.0, true), step(0.3, 0.5, false)] {
            let moving = (0..n).map(|i| [0, 1, 2].map(|of| flat(of, i)));
            // Twice, as the second takes what the first made.
            let moved = B::descend(moving.collect(), step);
            let again = moved.iter().cloned().enumerate();
            let again = again.map(|(i, [w, v])| [w, v, flat(2, i)]).collect();
            all.extend(moved.into_iter().chain(B::descend(again, step)).flatten());
        }
        let pairs = (0..n).map(|i| [flat(0, i), flat(1, i)]);
        all.extend(B::blend(pairs.collect(), 0.25));
        all.push(B::square_sums((0..n).map(|i| flat(0, i)).collect()));
        let of = |t| numbers(wrap::<B, 1>(t));
        all.into_iter().map(of).collect()
    }
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let lengths: Vec<_> = (0..37)
        .map(|i| [1, 64, 300, 65, 1024][i % 5] + i / 5)
        .collect();
    let values = [0; 3].map(|_| lengths.iter().map(|&n| draw(rng, n)).collect());
    for (got, want) in run::<B>(&values).iter().zip(&run::<NdArray>(&values)) {
        assert_close(got, want, "update");
    }
}

#[test]
fn updates_equal_composed() {
    on_gpus!(updates());
}

/// The loss with its gradient, signs, and a map's product with itself.
fn losses<B: LearnOps>() {
    fn run<B: LearnOps>(values: &[Vec<f32>; 2], shape: [usize; 2]) -> [Vec<f32>; 5] {
        let x = tensor::<Autodiff<B>, 2>(&values[0], shape).require_grad();
        let targets = unwrap(tensor::<Autodiff<B>, 2>(&values[1], shape));
        let loss = Autodiff::<B>::cross_entropy(unwrap(x.clone()), targets);
        let loss = wrap::<Autodiff<B>, 1>(loss);
        let grads = (loss.clone() * 0.4).backward();
        let flat = |i: usize| unwrap(tensor::<B, 1>(&values[i], [values[i].len()]));
        let map = |i: usize| unwrap(tensor::<B, 4>(&values[i], [1, 1, shape[0], shape[1]]));
        let alone = [
            B::signs(flat(0), 0.3),
            B::signs_by(flat(0), flat(1)),
            B::dot(map(0), map(1)),
        ];
        let [signs, signs_by, dot] = alone.map(|t| numbers(wrap::<B, 1>(t)));
        [
            numbers(loss.inner()),
            numbers(x.grad(&grads).unwrap()),
            signs,
            signs_by,
            dot,
        ]
    }
    for shape in [[1, 2], [64, 10], [300, 7], [9000, 11]] {
        let rng = &mut ChaCha8Rng::seed_from_u64(shape[0] as u64);
        let n = shape.iter().product();
        let values = [0; 2].map(|_| draw(rng, n).iter().map(|x| x * 5.0).collect());
        let (got, want) = (run::<B>(&values, shape), run::<NdArray>(&values, shape));
        for (got, want) in got.iter().zip(&want) {
            assert_close(got, want, &format!("{shape:?}"));
        }
    }
}

#[test]
fn cross_entropy_equals_composed() {
    on_gpus!(losses());
}

/// A view that is not contiguous goes in as burn hands it over.
fn views<B: LearnOps>() {
    let g = gradient::grouped(gradient::geometry(5, 6, 6, 3), 6);
    let v = Values::new(&g, 1);
    let flat = |values: &[f32]| unwrap(tensor::<B, 1>(values, [values.len()]));
    let plain: Tensor<B, 4> = tensor(&v.x, [N, g.input.h, g.input.w, 6]);
    let twice = Tensor::cat(vec![plain.clone(), plain.clone()], 3);
    let view = twice.slice([0..N, 0..g.input.h, 0..g.input.w, 6..12]);
    let [got, want] = [view, plain].map(|x| {
        let y = B::convolve(unwrap(x), flat(&v.weight), &g);
        numbers(wrap::<B, 4>(y))
    });
    assert_eq!(got, want);
}

#[test]
fn views_equal_copies() {
    on_gpus!(views());
}

/// A few steps end where the CPU's end, and twice at the same bits.
#[test]
fn training_equals_the_cpu() {
    let config = TrainConfig {
        epochs: 1,
        ..training::config()
    };
    for rule in [Rule::Bp, Rule::Usf] {
        let train = |device| training::run(rule, &config, device, None, 0).unwrap();
        let want = train(Device::Cpu).history[0].loss;
        for device in devices() {
            let got = train(device);
            let loss = got.history[0].loss;
            assert!(
                (loss - want).abs() < 1e-3 * want,
                "{rule}: {loss} instead of {want}"
            );
            assert_eq!(got, train(device), "{rule}: the same bits");
        }
    }
}
