//! Layers whose output lies over an input.
//!
//! It owns the rule which layers can, that parsing checks and planners use, and must not know the arena.
//! An output over an input starts where the input does; the kernels for it read every value before they
//! overwrite it.

use crate::kernel::dsp::Cut;
use crate::layer::{Op, Tensor};

/// Values of rows that a depthwise convolution keeps while it overwrites them.
pub(crate) const KEPT: usize = 4096;

/// For each of its inputs whether the output of `op` may lie over it, if nobody reads it afterwards.
pub fn may_lie_over(op: &Op, [lhs, rhs]: [&Tensor; 2], dst: &Tensor) -> [bool; 2] {
    let shape = |t: &Tensor| (t.h, t.w, t.c);
    match op {
        Op::Add(_) => [shape(lhs) == shape(dst), shape(rhs) == shape(dst)],
        Op::Place(p) => {
            let whole = (p.first, p.stride, p.offset) == (0, 1, 0) && shape(lhs) == shape(dst);
            [whole; 2]
        }
        Op::DepthwiseConv2d(window) => {
            let shrinks = dst.h <= lhs.h && dst.w <= lhs.w && dst.c == lhs.c;
            [shrinks && window.reach()[0] * usize::from(lhs.w) <= KEPT; 2]
        }
        _ => [false; 2],
    }
}

/// Whether a layer that may lie over its input `src` has as fast a kernel there as apart from it: a depthwise
/// convolution of which the fast kernel knows the latter only takes several times as many instructions.
pub fn is_as_fast(op: &Op, src: &Tensor, dst: &Tensor) -> bool {
    let Op::DepthwiseConv2d(window) = op else {
        return true;
    };
    let (c, size) = (src.c.into(), |t: &Tensor| [t.h, t.w].map(usize::from));
    let cut = Cut::new(c, size(dst), window);
    cut.is_none_or(|cut| cut.over(c, size(src), size(dst)).is_some())
}
