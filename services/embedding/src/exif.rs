//! What cameras write beside the pixels: which way is up, when, and where.
//! Everything here is a hint from outside: what doesn't parse is as if it weren't there.

use exif::{DateTime, Exif as Fields, Field, In, Reader, Tag, Value};
use image::metadata::Orientation;
use jiff::{Timestamp, civil, tz::Offset};

#[derive(Debug, Clone, PartialEq)]
pub struct Exif {
    /// When the picture was taken. Cameras that don't know their time zone are taken to be on UTC.
    pub date: Option<Timestamp>,
    /// Decimal degrees, north positive. There is either both or neither.
    pub latitude: Option<f64>,
    /// Decimal degrees, east positive.
    pub longitude: Option<f64>,
    /// How the stored pixels have to be turned.
    pub(crate) orientation: Orientation,
}

impl Default for Exif {
    fn default() -> Self {
        Self { date: None, latitude: None, longitude: None, orientation: Orientation::NoTransforms }
    }
}

impl Exif {
    /// Reads EXIF attributes, which are a TIFF structure (without the "Exif" that precedes them in a JPEG).
    pub(crate) fn read(tiff: &[u8]) -> Self {
        // Cameras write broken entries; those before and after them count.
        let fields = Reader::new()
            .continue_on_error(true)
            .read_raw(tiff.to_vec())
            .or_else(|error| error.distill_partial_result(|_| {}));
        let Ok(fields) = fields else { return Self::default() };
        let position = position(&fields);
        Self {
            date: date(&fields),
            latitude: position.map(|(latitude, _)| latitude),
            longitude: position.map(|(_, longitude)| longitude),
            orientation: orientation(&fields),
        }
    }
}

fn orientation(fields: &Fields) -> Orientation {
    field(fields, Tag::Orientation)
        .and_then(|field| field.value.get_uint(0))
        .and_then(|value| Orientation::from_exif(u8::try_from(value).ok()?))
        .unwrap_or(Orientation::NoTransforms)
}

fn date(fields: &Fields) -> Option<Timestamp> {
    [
        (Tag::DateTimeOriginal, Tag::SubSecTimeOriginal, Tag::OffsetTimeOriginal),
        (Tag::DateTimeDigitized, Tag::SubSecTimeDigitized, Tag::OffsetTimeDigitized),
        (Tag::DateTime, Tag::SubSecTime, Tag::OffsetTime),
    ]
    .into_iter()
    .find_map(|(date, fraction, offset)| {
        let mut date = DateTime::from_ascii(ascii(fields, date)?).ok()?;
        // Without them the date still counts.
        let _ = ascii(fields, fraction).map(|text| date.parse_subsec(text));
        let _ = ascii(fields, offset).map(|text| date.parse_offset(text));
        timestamp(&date)
    })
}

fn timestamp(date: &DateTime) -> Option<Timestamp> {
    let number = |value: u8| i8::try_from(value).ok();
    let local = civil::DateTime::new(
        i16::try_from(date.year).ok()?,
        number(date.month)?,
        number(date.day)?,
        number(date.hour)?,
        number(date.minute)?,
        number(date.second)?,
        i32::try_from(date.nanosecond.unwrap_or(0)).ok()?,
    );
    let offset = Offset::from_seconds(i32::from(date.offset.unwrap_or(0)) * 60).ok()?;
    offset.to_timestamp(local.ok()?).ok()
}

fn position(fields: &Fields) -> Option<(f64, f64)> {
    let latitude = degrees(fields, Tag::GPSLatitude, Tag::GPSLatitudeRef, b'S', 90.0)?;
    let longitude = degrees(fields, Tag::GPSLongitude, Tag::GPSLongitudeRef, b'W', 180.0)?;
    Some((latitude, longitude))
}

/// Degrees, minutes and seconds as one number. A denominator of 0 gives no number, which is how cameras say "unknown".
fn degrees(fields: &Fields, tag: Tag, reference: Tag, negative: u8, most: f64) -> Option<f64> {
    let Value::Rational(parts) = &field(fields, tag)?.value else { return None };
    let [degrees, minutes, seconds] = parts.get(..3)?.try_into().ok()?;
    let value = degrees.to_f64() + minutes.to_f64() / 60.0 + seconds.to_f64() / 3600.0;
    let sign = if ascii(fields, reference)?.first()? == &negative { -1.0 } else { 1.0 };
    (value <= most).then_some(sign * value)
}

fn field(fields: &Fields, tag: Tag) -> Option<&Field> {
    fields.get_field(tag, In::PRIMARY)
}

fn ascii(fields: &Fields, tag: Tag) -> Option<&[u8]> {
    match &field(fields, tag)?.value {
        Value::Ascii(texts) => texts.first().map(Vec::as_slice),
        _ => None,
    }
}
