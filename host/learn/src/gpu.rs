//! Fast kernels for GPUs: the bodies of [`LearnOps`] on every backend of cubecl, CUDA and Vulkan among them.
//!
//! A network of ours is small for a GPU: the cost of a step is not computation but the launches of kernels, tens
//! of microseconds of host time each. Composed of burn's operations a batch norm is 8 launches forward and 12
//! back, a depthwise weight gradient a convolution per image and channel, a step of momentum 6 per tensor. Here
//! everything between two matrix products is one kernel, or two where a sum over the batch lies between.
//!
//! Sums over the batch are taken in parts of a fixed size by fixed trees, and the parts in their order, never
//! by atomic additions: the same seed gives the same bits on the same device.
//! Invariant: equal to the default bodies of `ops` up to rounding, but for numbers that are none: a ReLU makes 0 of
//! them, as the fast kernels of the CPU do. burn multiplies matrices in TF32 where the card can (NVIDIA's from
//! compute capability 8.0 on), with 10 bits behind the leading one. Tensors are contiguous here; what burn hands
//! over otherwise is copied, on CUDA also rows of a length that it pads.

mod columns;
mod depthwise;
mod loss;
mod maps;
mod norm;
mod sum;
mod tensor;
mod update;

use crate::ops::{ConvGeometry, ConvGrads, ConvOutput, ConvParams, ConvSaved, Descent};
use crate::ops::{LearnOps, Needs, NormGrads, NormSaved, composed};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};
#[cfg(feature = "wgpu")]
use std::sync::OnceLock;
use tensor::contiguous;

#[cfg(feature = "cuda")]
pub use burn_cuda::Cuda;
#[cfg(feature = "wgpu")]
pub use burn_wgpu::Wgpu;

/// Whether Vulkan (or what stands in its place on this system) knows an adapter.
#[cfg(feature = "wgpu")]
pub(crate) fn has_adapter() -> bool {
    use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
    use cubecl::Runtime;
    // Asked for once: every training and evaluation wants to know.
    static FOUND: OnceLock<bool> = OnceLock::new();
    const ANY: u16 = 4;
    *FOUND.get_or_init(|| {
        let found = burn_wgpu::WgpuRuntime::enumerate_devices(ANY, &AutoGraphicsApi::backend());
        !found.is_empty()
    })
}

/// The name of the adapter that [`Wgpu`] computes on, which must be there.
#[cfg(feature = "wgpu")]
pub(crate) fn adapter() -> String {
    use burn_wgpu::graphics::AutoGraphicsApi;
    let (default, options) = (Default::default(), Default::default());
    let setup = burn_wgpu::init_setup::<AutoGraphicsApi>(&default, options);
    setup.adapter.get_info().name
}

/// The backend of a runtime, in the number types that we use.
type Gpu<R, BT> = CubeBackend<R, f32, i32, BT>;

impl<R: CubeRuntime, BT: BoolElement> LearnOps for Gpu<R, BT> {
    fn conv_forward(x: CubeTensor<R>, p: ConvParams<Self>, g: &ConvGeometry) -> ConvOutput<Self> {
        let pre = contiguous(Self::convolve(x, p.weight, g));
        if g.norm {
            let [out, mean, var] = norm::forward(pre.clone(), p.gamma, p.beta, g.relu);
            return ConvOutput {
                out,
                pre,
                moments: Some([mean, var]),
            };
        }
        ConvOutput {
            out: match g.relu {
                true => maps::rectify(pre.clone()),
                false => pre.clone(),
            },
            pre,
            moments: None,
        }
    }

    fn conv_backward(
        saved: ConvSaved<Self>,
        grad: CubeTensor<R>,
        needs: Needs,
        g: &ConvGeometry,
    ) -> ConvGrads<Self> {
        let p = saved.params;
        let (dy, affine) = match saved.moments {
            Some([mean, var]) => {
                let norm = NormSaved {
                    x: saved.pre,
                    mean,
                    var,
                    gamma: p.gamma,
                    beta: p.beta,
                };
                let back = norm::backward::<R, BT>(norm, grad, g.relu);
                (back.x, Some([back.gamma, back.beta]))
            }
            None if g.relu => (maps::rectify_back(saved.pre, grad), None),
            None => (contiguous(grad), None),
        };
        let dx = needs
            .x
            .then(|| Self::convolve_back(p.feedback, dy.clone(), g));
        ConvGrads {
            x: dx,
            weight: needs.weight.then(|| Self::correlate(saved.x, dy, g)),
            affine,
        }
    }

    fn conv_infer(
        x: CubeTensor<R>,
        weight: CubeTensor<R>,
        scale: CubeTensor<R>,
        shift: CubeTensor<R>,
        g: &ConvGeometry,
    ) -> CubeTensor<R> {
        norm::line(
            contiguous(Self::convolve(x, weight, g)),
            scale,
            shift,
            g.relu,
        )
    }

    fn norm_forward(
        x: CubeTensor<R>,
        gamma: CubeTensor<R>,
        beta: CubeTensor<R>,
    ) -> [CubeTensor<R>; 3] {
        norm::forward(contiguous(x), gamma, beta, false)
    }

    fn norm_backward(saved: NormSaved<Self>, grad: CubeTensor<R>) -> NormGrads<Self> {
        norm::backward::<R, BT>(saved, grad, false)
    }

    fn convolve(x: CubeTensor<R>, weight: CubeTensor<R>, g: &ConvGeometry) -> CubeTensor<R> {
        match g.groups {
            1 => columns::forward(x, weight, g),
            _ if g.is_depthwise() => depthwise::forward(x, weight, g),
            _ => composed::convolve::<Self>(x, weight, g),
        }
    }

    fn convolve_back(
        feedback: CubeTensor<R>,
        dy: CubeTensor<R>,
        g: &ConvGeometry,
    ) -> CubeTensor<R> {
        match g.groups {
            1 => columns::back(feedback, dy, g),
            _ if g.is_depthwise() => depthwise::back(feedback, dy, g),
            _ => composed::convolve_back::<Self>(feedback, dy, g),
        }
    }

    fn correlate(x: CubeTensor<R>, z: CubeTensor<R>, g: &ConvGeometry) -> CubeTensor<R> {
        match g.groups {
            1 => columns::correlate(x, z, g),
            _ if g.is_depthwise() => depthwise::correlate(x, z, g),
            _ => composed::correlate::<Self>(x, z, g),
        }
    }

    fn rectify_forward(x: CubeTensor<R>) -> CubeTensor<R> {
        maps::rectify(contiguous(x))
    }

    fn rectify_backward(y: CubeTensor<R>, grad: CubeTensor<R>) -> CubeTensor<R> {
        maps::rectify_back(y, grad)
    }

    fn concat_forward(maps: Vec<CubeTensor<R>>) -> CubeTensor<R> {
        maps::concat(maps)
    }

    fn split(all: CubeTensor<R>, widths: &[usize]) -> Vec<CubeTensor<R>> {
        maps::split(all, widths)
    }

    fn shift_forward(x: CubeTensor<R>, back: bool) -> CubeTensor<R> {
        maps::shift(x, back)
    }

    fn cross_entropy_at_once(
        x: &CubeTensor<R>,
        targets: &CubeTensor<R>,
    ) -> Option<[CubeTensor<R>; 2]> {
        Some(loss::cross_entropy(x.clone(), targets.clone()))
    }

    fn signs(w: CubeTensor<R>, size: f32) -> CubeTensor<R> {
        maps::signs(w, size)
    }

    fn signs_by(w: CubeTensor<R>, m: CubeTensor<R>) -> CubeTensor<R> {
        maps::signs_by(w, m)
    }

    fn dot(a: CubeTensor<R>, b: CubeTensor<R>) -> CubeTensor<R> {
        sum::dot(a, b)
    }

    fn descend(all: Vec<[CubeTensor<R>; 3]>, step: Descent) -> Vec<[CubeTensor<R>; 2]> {
        update::descend(all, step)
    }

    fn square_sums(vectors: Vec<CubeTensor<R>>) -> CubeTensor<R> {
        update::square_sums(vectors)
    }

    fn blend(all: Vec<[CubeTensor<R>; 2]>, rate: f32) -> Vec<CubeTensor<R>> {
        update::blend(all, rate)
    }
}
