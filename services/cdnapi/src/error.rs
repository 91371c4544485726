//! The one map from faults of delivery to what a client is told.

use backends::records::RecordError;
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
            DeliveryError::Undecodable(cause) => Self::unprocessable(format!("{fault}: {cause}")),
            DeliveryError::Object(cause) | DeliveryError::Record(RecordError::Object(cause)) => {
                Self::unavailable("objects", cause)
            }
            DeliveryError::Record(_) | DeliveryError::Stopped(_) => Self::internal(fault),
            DeliveryError::Shared(shared) => shared.as_ref().into(),
        }
    }
}
