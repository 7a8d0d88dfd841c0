//! Tensors as the kernels take them, and grids of units over their elements.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

/// Units of a cube.
pub(super) const UNITS: u32 = 256;

/// With its elements side by side in the order of its shape.
pub(super) fn contiguous<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    into_contiguous(x)
}

/// Unwritten, on the device of `like`.
pub(super) fn empty<R: CubeRuntime, const D: usize>(
    like: &CubeTensor<R>,
    shape: [usize; D],
) -> CubeTensor<R> {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, Shape::new(shape), DType::F32)
}

/// Unwritten, of the shape of `like`.
pub(super) fn empty_like<R: CubeRuntime>(like: &CubeTensor<R>) -> CubeTensor<R> {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, like.meta.shape().clone(), DType::F32)
}

/// The lengths of the `D` axes.
pub(super) fn dims<R: CubeRuntime, const D: usize>(x: &CubeTensor<R>) -> [usize; D] {
    x.meta.shape().dims()
}

/// A unit for every element of `x`, and a few more.
pub(super) fn by_element<R: CubeRuntime>(x: &CubeTensor<R>) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(UNITS);
    let count = calculate_cube_count_elemwise(&x.client, x.meta.shape().num_elements(), dim);
    (count, dim)
}

/// The same elements in the shape `shape`; `x` is contiguous.
pub(super) fn shaped<R: CubeRuntime, const D: usize>(
    x: CubeTensor<R>,
    shape: [usize; D],
) -> CubeTensor<R> {
    CubeTensor::new_contiguous(x.client, x.device, Shape::new(shape), x.handle, x.dtype)
}
