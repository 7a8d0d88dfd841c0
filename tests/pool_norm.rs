//! Pooling, ReLU, maps side by side or moved, and batch norm on their own against burn's autodiff, on both CPU
//! backends.

use crate::gradient::{N, assert_close, draw, numbers, tensor};
use aplysia_learn::burn::backend::{Autodiff, Flex, NdArray};
use aplysia_learn::burn::tensor::{Tensor, activation};
use aplysia_learn::ops::{LearnOps, Pool, composed, unwrap, wrap};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Windows of all networks: halving, those of the cells, of partial channels and of auxiliary heads, and
/// the whole map.
fn pools() -> Vec<Pool> {
    let pool = |window: [usize; 2], stride: [usize; 2], pad, output| Pool {
        max: false,
        window,
        stride,
        pad,
        output,
    };
    let all = [
        pool([2; 2], [2; 2], 0, [2, 3]),
        pool([3; 2], [1; 2], 1, [5, 6]),
        pool([3; 2], [2; 2], 1, [3, 3]),
        pool([2; 2], [2; 2], 0, [3, 3]),
        pool([5; 2], [3; 2], 0, [1, 1]),
        pool([5, 6], [5, 6], 0, [1, 1]),
    ];
    let max = all.map(|pool| Pool { max: true, ..pool });
    [all, max].concat()
}

#[test]
fn pooling_kernels_equal_autodiff() {
    for pool in pools() {
        let shape = [N, 5, 6, 12];
        let rng = &mut ChaCha8Rng::seed_from_u64(7);
        let x = draw(rng, shape.iter().product());
        fn run<B: LearnOps>(x: &[f32], shape: [usize; 4], pool: Pool, ours: bool) -> [Vec<f32>; 2] {
            let x = tensor::<Autodiff<B>, 4>(x, shape).require_grad();
            let input = unwrap(x.clone());
            let y: Tensor<Autodiff<B>, 4> = wrap(if ours {
                Autodiff::<B>::pool(input, pool)
            } else {
                composed::pool_forward::<Autodiff<B>>(input, pool)
            });
            let [_, h, w, _] = y.dims();
            assert_eq!([h, w], pool.output);
            let grads = y.clone().powi_scalar(2).sum().backward();
            [numbers(y.inner()), numbers(x.grad(&grads).unwrap())]
        }
        let want = run::<NdArray>(&x, shape, pool, false);
        for got in [
            run::<Flex>(&x, shape, pool, true),
            run::<NdArray>(&x, shape, pool, true),
        ] {
            assert_close(&got[0], &want[0], &format!("{pool:?}"));
            assert_close(&got[1], &want[1], &format!("gradient of {pool:?}"));
        }
    }
}

/// Maps of so many channels, through a ReLU and a shift each, then side by side.
#[test]
fn maps_equal_autodiff() {
    fn run<B: LearnOps>(maps: &[(Vec<f32>, usize)], side: usize, ours: bool) -> Vec<Vec<f32>> {
        let map = |(values, c): &(Vec<f32>, usize)| {
            tensor::<Autodiff<B>, 4>(values, [N, side, side + 1, *c]).require_grad()
        };
        let maps: Vec<_> = maps.iter().map(map).collect();
        let moved = |x: &Tensor<Autodiff<B>, 4>| match ours {
            true => Autodiff::<B>::shift(Autodiff::<B>::rectify(unwrap(x.clone()))),
            false => {
                composed::shift_forward::<Autodiff<B>>(unwrap(activation::relu(x.clone())), false)
            }
        };
        let moved: Vec<_> = maps.iter().map(moved).collect();
        let y: Tensor<Autodiff<B>, 4> = match ours {
            true => wrap(Autodiff::<B>::concat(moved)),
            false => Tensor::cat(moved.into_iter().map(wrap).collect(), 3),
        };
        // A weight of its own for every element.
        let (shape, n) = (y.dims(), y.dims().iter().product::<usize>());
        let weights: Vec<f32> = (0..n).map(|i| (i % 97) as f32 / 97.0 - 0.4).collect();
        let grads = (y.clone() * tensor(&weights, shape)).sum().backward();
        // On burn's tape nothing reaches a map that moves out of sight.
        let of = |x: &Tensor<Autodiff<B>, 4>| match x.grad(&grads) {
            Some(grad) => numbers(grad),
            None => numbers(x.clone().inner().zeros_like()),
        };
        let inputs = maps.iter().map(of);
        std::iter::once(numbers(y.inner())).chain(inputs).collect()
    }
    let rng = &mut ChaCha8Rng::seed_from_u64(9);
    for (side, widths) in [
        (4, &[3, 8][..]),
        (5, &[16, 1, 5, 8]),
        (3, &[2, 4, 6]),
        (1, &[4, 4]),
    ] {
        let map = |&c: &usize| (draw(rng, N * side * (side + 1) * c), c);
        let maps: Vec<_> = widths.iter().map(map).collect();
        let want = run::<NdArray>(&maps, side, false);
        assert_eq!(run::<Flex>(&maps, side, true), want, "{widths:?}");
        assert_eq!(run::<NdArray>(&maps, side, true), want, "{widths:?}");
    }
}

#[test]
fn batch_norm_alone_equals_autodiff() {
    fn run<B: LearnOps>(values: [&[f32]; 4], ours: bool) -> [Vec<f32>; 4] {
        let c = values[1].len();
        let shape = [N, 4, 5, c];
        let x = tensor::<Autodiff<B>, 4>(values[0], shape).require_grad();
        let [gamma, beta] = [1, 2].map(|i| tensor::<Autodiff<B>, 1>(values[i], [c]).require_grad());
        let inputs = (
            unwrap(x.clone()),
            unwrap(gamma.clone()),
            unwrap(beta.clone()),
        );
        let [out, ..] = if ours {
            Autodiff::<B>::norm(inputs.0, inputs.1, inputs.2)
        } else {
            composed::norm_forward::<Autodiff<B>>(inputs.0, inputs.1, inputs.2, false)
        };
        let out: Tensor<Autodiff<B>, 4> = wrap(out);
        let grads = (out.clone() * tensor(values[3], shape)).sum().backward();
        let of = |t: &Tensor<Autodiff<B>, 1>| numbers(t.grad(&grads).unwrap());
        let dx = numbers(x.grad(&grads).unwrap());
        [numbers(out.inner()), dx, of(&gamma), of(&beta)]
    }
    let rng = &mut ChaCha8Rng::seed_from_u64(8);
    let c = 12;
    let [x, up] = [0, 1].map(|_| draw(rng, N * 20 * c));
    let [gamma, beta] = [0, 1].map(|_| draw(rng, c));
    let values = [&x[..], &gamma, &beta, &up];
    let want = run::<NdArray>(values, false);
    for got in [run::<Flex>(values, true), run::<NdArray>(values, true)] {
        for (got, want) in got.iter().zip(&want) {
            assert_close(got, want, "batch norm");
        }
    }
}
