//! One loop, compiled twice: with AVX2 and FMA, chosen at run time, and for any processor.

/// Defines `fn name(args)` that runs `body::<FMA>(args)` with the best instructions at hand.
/// `body` must be `#[inline(always)]` and generic over `const FMA: bool`.
macro_rules! simd_dispatch {
    ($(#[$doc:meta])* $vis:vis fn $name:ident $([$($g:tt)*])? ($($arg:ident: $ty:ty),* $(,)?) = $body:ident $([$($t:tt)*])?) => {
        $(#[$doc])*
        $vis fn $name $(<$($g)*>)? ($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn fast $(<$($g)*>)? ($($arg: $ty),*) {
                    $body::<true $(, $($t)*)?>($($arg),*)
                }
                if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
                    // SAFETY: both features were just detected on this processor.
                    return unsafe { fast $(::<$($t)*>)? ($($arg),*) };
                }
            }
            $body::<{ cfg!(target_arch = "aarch64") } $(, $($t)*)?>($($arg),*)
        }
    };
}

/// `a·b + c`, fused where the instruction exists.
#[inline(always)]
pub(super) fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}
