//! `cdnapi`: the pictures themselves, as they came and resized.

mod delivery;
mod error;
mod precondition;
mod respond;
mod router;
mod variant;

pub use delivery::{Delivery, DeliveryError};
pub use router::{router, routes};
