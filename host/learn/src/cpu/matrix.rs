//! Matrix product on slices: a safe face for the `gemm` crate, single-threaded (tasks run in parallel).

use gemm::Parallelism;

/// A view of a matrix.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_step: usize,
    col_step: usize,
}

impl<'a> Matrix<'a> {
    /// `rows × cols`, row-major.
    pub(super) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows}×{cols} matrix");
        Self {
            data,
            rows,
            cols,
            row_step: cols,
            col_step: 1,
        }
    }

    /// The transposed view.
    pub(super) fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_step: self.col_step,
            col_step: self.row_step,
        }
    }
}

/// `dst = lhs · rhs`, or `dst += lhs · rhs`; `dst` is row-major.
pub(super) fn product(dst: &mut [f32], lhs: Matrix, rhs: Matrix, accumulate: bool) {
    let (m, n, k) = (lhs.rows, rhs.cols, lhs.cols);
    assert_eq!(k, rhs.rows, "inner dimensions");
    assert_eq!(dst.len(), m * n, "a {m}×{n} result");
    // SAFETY: every matrix covers its slice exactly (checked above and in `Matrix::new`), the steps
    // are non-negative, and `dst` does not overlap the operands because it is borrowed mutably.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            lhs.data.as_ptr(),
            lhs.col_step as isize,
            lhs.row_step as isize,
            rhs.data.as_ptr(),
            rhs.col_step as isize,
            rhs.row_step as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
