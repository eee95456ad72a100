//! Loops over much memory with the widest instructions that the processor has.
//!
//! The build is for the baseline of its architecture, which on x86-64 has registers of 16 bytes and no instruction that
//! counts bits; most processors have more. Two ways lead there:
//!
//! - a [`Kernel`] is plain safe code over slices that the compiler widens by itself, compiled twice: see [`widest`];
//! - what it does not widen well is written out in [`avx2`], and falls back to plain code elsewhere.
//!
//! The results are the same, which the tests of their callers show.
#![allow(unsafe_code)]

pub mod avx2;

/// A computation over memory. Implementations mark `run` as `#[inline(always)]`: only then it is compiled again.
pub trait Kernel {
    /// What it computes.
    type Output;

    /// Computes it.
    fn run(self) -> Self::Output;
}

/// Runs a kernel with the widest instructions that the processor has.
#[inline]
pub fn widest<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_there() {
        // SAFETY: the processor has just been found to have what the function is compiled for.
        return unsafe { with_avx2(kernel) };
    }
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
