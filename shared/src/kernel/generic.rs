//! The generic kernels: plain Rust for every target, and the oracle of the faster ones.
//!
//! It owns the list of them and must not know any instruction set.

mod add;
mod avg_pool;
mod conv2d;
mod depthwise;
mod depthwise_over;
mod fully_connected;
mod global_avg_pool;
mod max_pool;
mod place;
mod pointwise;
mod softmax;

pub use add::{add_over_s8, add_s8};
pub use avg_pool::avg_pool_s8;
pub use conv2d::conv2d_s8;
pub(crate) use conv2d::conv2d_sum;
pub use depthwise::depthwise_conv2d_s8;
pub use depthwise_over::depthwise_conv2d_over_s8;
pub use fully_connected::fully_connected_s8;
pub use global_avg_pool::global_avg_pool_s8;
pub use max_pool::max_pool_s8;
pub(crate) use place::{MIN_TABLE as MIN_PLACE_TABLE, is_copy};
pub use place::{place_over_s8, place_s8};
pub use pointwise::pointwise_conv2d_s8;
pub use softmax::{MAX_CHANNELS as MAX_SOFTMAX_CHANNELS, softmax_s8};
