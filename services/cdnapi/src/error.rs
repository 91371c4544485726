//! The one map from faults of delivery to what a client is told.

use backends::records::RecordError;
use embedding::variant::VariantError;
use shared::http::Problem;

use crate::delivery::DeliveryError;

impl From<DeliveryError> for Problem {
    fn from(fault: DeliveryError) -> Self {
        (&fault).into()
    }
}

impl From<&DeliveryError> for Problem {
    fn from(fault: &DeliveryError) -> Self {
        match fault {
            DeliveryError::NotFound(_) => Self::not_found(fault.to_string()),
            DeliveryError::Variant(VariantError::Decode(cause)) => {
                Self::unprocessable(format!("this image can't be resized: {cause}"))
            }
            DeliveryError::Object(cause) | DeliveryError::Record(RecordError::Object(cause)) => {
                Self::unavailable("objects", cause)
            }
            DeliveryError::Record(_)
            | DeliveryError::Stopped(_)
            | DeliveryError::Variant(VariantError::Encode { .. }) => Self::internal(fault),
            DeliveryError::Shared(shared) => shared.as_ref().into(),
        }
    }
}
