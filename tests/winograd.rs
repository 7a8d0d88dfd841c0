//! Winograd's form of 3×3 convolutions: the kernel against the generic one bit for bit, its weights and what parsing
//! refuses of them, and whole networks in more flash.
//!
//! The loops of Armv7E-M are compared on the emulated processors: `tests/bench.rs`.

mod blobs;

use aplysia_deploy::winograd::transformed;
use aplysia_shared::kernel::dsp::packing::Depth;
use aplysia_shared::kernel::dsp::winograd::{Tiles, restore, transform};
use aplysia_shared::kernel::dsp::{Native, Portable, winograd_conv2d_s8};
use proptest::prelude::*;
use rand::Rng;
use std::cell::Cell;

use crate::dsp::{by, tame, with_plain};
use crate::kernel::{Case, case, config, weights};

/// The output, or none where a channel is not exact, which parsing refuses.
fn with_form<S: Tiles>(k: &Case, w: &[i8]) -> Option<Vec<i8>> {
    let channels = [k.src.c, k.to.bias.len()];
    let depth = Depth::new(&k.window, channels[0]);
    let exact = Cell::new(false);
    let out = by(
        k,
        w,
        |bytes| *bytes = transformed(bytes, depth, channels),
        |src, dst, window, constants, packed| {
            exact.set(packed.exact);
            winograd_conv2d_s8::<S>(src, dst, window, constants, packed);
        },
    );
    exact.get().then_some(out)
}

/// A layer of `size` inputs for `out` outputs.
fn check(
    size: [usize; 2],
    pad: [usize; 2],
    out: [usize; 2],
    c: [usize; 2],
    seed: u64,
) -> Result<bool, TestCaseError> {
    let axis = |i: usize| [size[i], 3, 1, 1, pad[i], out[i]];
    let mut k = case([axis(0), axis(1)], c, seed);
    tame(&mut k.to, &mut k.rng);
    let w = weights(9 * c[0] * c[1], &mut k.rng);
    let w: Vec<i8> = match k.rng.random_range(0..4) {
        0 => w.iter().map(|w| if *w < 0 { -128 } else { 127 }).collect(),
        _ => w,
    };
    let want = with_plain(&k, &w);
    let native = with_form::<Native>(&k, &w);
    prop_assert_eq!(native.as_ref().unwrap_or(&want), &want);
    let portable = with_form::<Portable>(&k, &w);
    prop_assert_eq!(portable.as_ref().unwrap_or(&want), &want);
    Ok(native.is_some())
}

/// All images of which `out` rows or columns can be made with so much padding in front.
fn sizes(out: usize, pad: usize) -> impl Iterator<Item = usize> {
    out.saturating_sub(pad).max(1)..=out + 2
}

#[test]
fn every_small_image_is_the_generic_one() {
    let (mut seed, mut exact) = (0, 0);
    for (h, w) in (2..=5).flat_map(|h| (4..=9).map(move |w| (h, w))) {
        for pad in (0..=2).flat_map(|top| (0..=2).map(move |left| [top, left])) {
            for (rows, columns) in
                sizes(h, pad[0]).flat_map(|y| sizes(w, pad[1]).map(move |x| (y, x)))
            {
                seed += 1;
                let is_exact = check([rows, columns], pad, [h, w], [4, 4], seed).unwrap();
                exact += u32::from(is_exact);
            }
        }
    }
    assert!(exact > 1500, "{exact} of {seed}");
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn layers_are_the_generic_ones(
        out in [2..=10usize, 4..=14usize], pad in [0..=2usize, 0..=2usize], more in [0..5usize, 0..5usize],
        c in [1..=16usize, 1..=20usize], seed: u64,
    ) {
        let from = [0, 1].map(|i| {
            let sizes: Vec<usize> = sizes(out[i], pad[i]).collect();
            sizes[more[i] % sizes.len()]
        });
        check(from, pad, out, [4 * c[0], 4 * c[1]], seed)?;
    }

    #[test]
    fn weights_come_back(filter: [i8; 9], at in 0..16usize, other: i16) {
        let mut weights = transform(&filter);
        prop_assert_eq!(restore(&weights), Some(filter));
        weights[at] = other;
        // Another filter, or none.
        let back = restore(&weights);
        prop_assert!(back.is_none_or(|back| transform(&back) == weights));
    }
}
