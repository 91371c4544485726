//! Labels whose values are a closed set, so that the number of series is known before anything is counted.

use prometheus_client::encoding::EncodeLabelSet;

/// An enum whose variants are the values of a label: `closed_label! { /// … pub Name { Variant = "value" } }`.
macro_rules! closed_label {
    ($(#[$doc:meta])* $visibility:vis $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visibility enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            $visibility const VALUES: &'static [&'static str] = &[$($text),+];

            $visibility fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl prometheus_client::encoding::EncodeLabelValue for $name {
            fn encode(
                &self,
                encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
            ) -> Result<(), std::fmt::Error> {
                prometheus_client::encoding::EncodeLabelValue::encode(&self.as_str(), encoder)
            }
        }
    };
}
pub(crate) use closed_label;

/// Of what there is one of: a family all the same, which shows nothing before something was counted, since not every
/// process counts everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct NoLabels {}
