//! Which backend computes, chosen at run time.

use crate::LearnError;
use std::str::FromStr;

/// Where training and evaluation run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// burn's Flex backend with our kernels: the fastest on a CPU.
    #[default]
    Cpu,
    /// burn's ndarray backend, without our kernels: the reference.
    NdArray,
    /// An NVIDIA GPU through burn-cuda (built with the feature `cuda`), with our kernels.
    Cuda,
    /// What Vulkan finds first, through burn-wgpu (built with the feature `wgpu`), with our kernels.
    Wgpu,
}

impl FromStr for Device {
    type Err = LearnError;

    fn from_str(s: &str) -> Result<Self, LearnError> {
        match s {
            "cpu" => Ok(Device::Cpu),
            "ndarray" => Ok(Device::NdArray),
            "cuda" => Ok(Device::Cuda),
            "wgpu" => Ok(Device::Wgpu),
            _ => Err(LearnError::UnknownDevice(s.into())),
        }
    }
}

impl Device {
    /// Whether this device can be used here and now.
    ///
    /// # Errors
    /// [`LearnError::NoCuda`] without the feature, without a driver, or without its compiler;
    /// [`LearnError::NoWgpu`] without the feature or without an adapter.
    pub fn check(self) -> Result<(), LearnError> {
        match self {
            Device::Cpu | Device::NdArray => Ok(()),
            Device::Cuda => cuda_libraries(),
            Device::Wgpu => vulkan_adapter(),
        }
    }

    /// What computes, in words for people: of a Vulkan adapter its name.
    ///
    /// # Errors
    /// As [`Device::check`].
    pub fn describe(self) -> Result<String, LearnError> {
        self.check()?;
        Ok(match self {
            Device::Cpu | Device::NdArray => "the processor".into(),
            Device::Cuda => "NVIDIA's driver and compiler".into(),
            #[cfg(feature = "wgpu")]
            Device::Wgpu => crate::gpu::adapter(),
            #[cfg(not(feature = "wgpu"))]
            Device::Wgpu => unreachable!("check() has refused it"),
        })
    }
}

/// burn-cuda panics where a library is missing, so they are looked for first.
#[cfg(feature = "cuda")]
fn cuda_libraries() -> Result<(), LearnError> {
    for names in [
        &["libcuda.so.1"][..],
        &["libnvrtc.so", "libnvrtc.so.12", "libnvrtc.so.13"],
    ] {
        // SAFETY: the initialisers of NVIDIA's driver and compiler libraries are sound to run; the
        // handle is dropped at once.
        let found = names
            .iter()
            .any(|name| unsafe { libloading::Library::new(name) }.is_ok());
        if !found {
            return Err(LearnError::NoCuda(names[0]));
        }
    }
    Ok(())
}

#[cfg(not(feature = "cuda"))]
fn cuda_libraries() -> Result<(), LearnError> {
    Err(LearnError::NoCuda("a build with --features cuda"))
}

/// burn-wgpu panics where there is no adapter, so one is looked for first.
#[cfg(feature = "wgpu")]
fn vulkan_adapter() -> Result<(), LearnError> {
    match crate::gpu::has_adapter() {
        true => Ok(()),
        false => Err(LearnError::NoWgpu("a Vulkan driver with an adapter")),
    }
}

#[cfg(not(feature = "wgpu"))]
fn vulkan_adapter() -> Result<(), LearnError> {
    Err(LearnError::NoWgpu("a build with --features wgpu"))
}

/// Runs `$body` with `$backend` bound to the backend of `$device` (already checked) and `$place` to
/// its burn device.
macro_rules! on_device {
    ($device:expr, |$backend:ident, $place:ident| $body:expr) => {{
        $device.check()?;
        match $device {
            $crate::Device::Cpu => {
                type $backend = burn::backend::Flex;
                let $place = Default::default();
                $body
            }
            $crate::Device::NdArray => {
                type $backend = burn::backend::NdArray;
                let $place = Default::default();
                $body
            }
            #[cfg(feature = "cuda")]
            $crate::Device::Cuda => {
                type $backend = $crate::gpu::Cuda;
                let $place = Default::default();
                $body
            }
            #[cfg(feature = "wgpu")]
            $crate::Device::Wgpu => {
                type $backend = $crate::gpu::Wgpu;
                let $place = Default::default();
                $body
            }
            #[allow(unreachable_patterns, reason = "with every feature")]
            _ => unreachable!("check() has refused it"),
        }
    }};
}
