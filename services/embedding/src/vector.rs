//! From a graph's output row to a vector that an index can hold.

use crate::model_error::ModelError;

/// How far from 1 the length of a vector may be that the graph itself scaled.
const UNIT_TOLERANCE: f32 = 1e-3;

/// The cosine of two unit vectors, −1 to 1.
pub fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Checks one output row and gives it unit length. Zero, NaN and infinite rows are refused.
pub(crate) fn finish(row: &[f32], normalise: bool) -> Result<Vec<f32>, ModelError> {
    // In f64, so that the squares of large f32 numbers don't overflow into a false "infinite".
    let length = row.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt();
    if !length.is_finite() {
        return Err(ModelError::NotFinite);
    }
    // Below the smallest normal f32 the direction is rounding noise.
    if length < f64::from(f32::MIN_POSITIVE) {
        return Err(ModelError::Zero);
    }
    if normalise {
        return Ok(row.iter().map(|&number| (f64::from(number) / length) as f32).collect());
    }
    let length = length as f32;
    if (length - 1.0).abs() > UNIT_TOLERANCE {
        return Err(ModelError::NotUnit { length });
    }
    Ok(row.to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_nan_and_infinite_rows_are_refused() {
        for (row, expected) in
            [([0.0, 0.0], "Err(Zero)"), ([1.0, f32::NAN], "Err(NotFinite)"), ([f32::INFINITY, 0.0], "Err(NotFinite)")]
        {
            assert_eq!(format!("{:?}", finish(&row, true)), expected);
        }
    }

    #[test]
    fn a_row_that_is_not_unit_is_refused_when_the_graph_promised_it() {
        assert!(matches!(finish(&[3.0, 4.0], false), Err(ModelError::NotUnit { length }) if length > 4.9));
        assert_eq!(finish(&[0.6, 0.8], false).unwrap(), [0.6, 0.8]);
    }

    proptest! {
        #[test]
        fn every_other_row_gets_unit_length(row in prop::collection::vec(-1e30f32..1e30, 1..64)) {
            prop_assume!(row.iter().any(|number| number.abs() > 1e-30));
            let length = finish(&row, true).unwrap().iter().map(|number| number * number).sum::<f32>().sqrt();
            prop_assert!((length - 1.0).abs() < 1e-5);
        }
    }
}
