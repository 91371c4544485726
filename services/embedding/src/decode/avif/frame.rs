//! AV1 frames, by libaom.
#![expect(unsafe_code, reason = "libaom has a C interface; what leaves this file is safe")]

use std::{ffi::CStr, marker::PhantomData, mem::MaybeUninit, ptr, slice};

use libaom_sys::{
    AOM_CODEC_OK, AOM_CR_FULL_RANGE, AOM_DECODER_ABI_VERSION, AOM_IMG_FMT_HIGHBITDEPTH, aom_codec_av1_dx,
    aom_codec_ctx_t, aom_codec_dec_cfg, aom_codec_dec_init_ver, aom_codec_decode, aom_codec_destroy, aom_codec_err_t,
    aom_codec_error, aom_codec_get_frame, aom_image_t, aom_img_plane_height, aom_img_plane_width,
};

use super::color::CodePoints;

pub(super) struct Decoder(Box<aom_codec_ctx_t>);

impl Decoder {
    pub(super) fn new() -> Result<Self, String> {
        // No threads of its own: images are decoded side by side.
        let config = aom_codec_dec_cfg { threads: 1, w: 0, h: 0, allow_lowbitdepth: 1 };
        let mut context = Box::new(MaybeUninit::zeroed());
        // SAFETY: all of the pointers are valid for the call; the library copies the configuration.
        let status = unsafe {
            let version = AOM_DECODER_ABI_VERSION as i32;
            aom_codec_dec_init_ver(context.as_mut_ptr(), aom_codec_av1_dx(), &raw const config, 0, version)
        };
        if status != AOM_CODEC_OK {
            return Err(format!("no decoder of AV1 can be had ({status})"));
        }
        // SAFETY: it was initialised.
        Ok(Self(unsafe { context.assume_init() }))
    }

    /// The frame that a still picture's bitstream holds. It lives in the decoder.
    pub(super) fn decode(&mut self, bitstream: &[u8]) -> Result<Frame<'_>, String> {
        // SAFETY: the bitstream is valid for the call and not kept beyond it.
        let status =
            unsafe { aom_codec_decode(&raw mut *self.0, bitstream.as_ptr(), bitstream.len(), ptr::null_mut()) };
        if status != AOM_CODEC_OK {
            return Err(self.fault(status));
        }
        let mut iterator = ptr::null();
        // SAFETY: what it points to is valid until the next call, and the frame borrows the decoder until then.
        let image = unsafe { aom_codec_get_frame(&raw mut *self.0, &raw mut iterator).as_ref() };
        image.map(Frame).ok_or_else(|| "there is no frame in it".to_owned())
    }

    fn fault(&self, status: aom_codec_err_t) -> String {
        // SAFETY: the text is null or ends with a zero, and is copied before the next call.
        let text = unsafe {
            let text = aom_codec_error(&raw const *self.0);
            if text.is_null() { None } else { Some(CStr::from_ptr(text).to_string_lossy().into_owned()) }
        };
        text.unwrap_or_else(|| format!("error {status}"))
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: it was initialised, and nothing borrows it any more.
        unsafe { aom_codec_destroy(&raw mut *self.0) };
    }
}

pub(super) struct Frame<'a>(&'a aom_image_t);

impl<'a> Frame<'a> {
    pub(super) fn is_gray(&self) -> bool {
        self.0.monochrome != 0
    }

    /// Bits of a sample: 8, 10 or 12.
    pub(super) fn depth(&self) -> u32 {
        self.0.bit_depth
    }

    /// Bytes of a sample, 1 or 2.
    pub(super) fn sample_bytes(&self) -> usize {
        if self.0.fmt & AOM_IMG_FMT_HIGHBITDEPTH == 0 { 1 } else { 2 }
    }

    /// What the bitstream itself says of its colours; the file's own box goes before it.
    pub(super) fn code_points(&self) -> CodePoints {
        CodePoints {
            primaries: self.0.cp as u8,
            transfer: self.0.tc as u8,
            matrix: self.0.mc as u8,
            full_range: self.0.range == AOM_CR_FULL_RANGE,
        }
    }

    /// By how many bits columns and rows of chroma are fewer than those of luma.
    pub(super) fn chroma_shifts(&self) -> (u32, u32) {
        (self.0.x_chroma_shift, self.0.y_chroma_shift)
    }

    /// 0 is luma, 1 and 2 are chroma; `None` when there is no such plane.
    pub(super) fn plane(&self, number: u8) -> Option<Plane<'a>> {
        let start = *self.0.planes.get(usize::from(number))?;
        if start.is_null() {
            return None;
        }
        // SAFETY: both only read the image.
        let (width, height) = unsafe {
            let number = i32::from(number);
            (aom_img_plane_width(self.0, number), aom_img_plane_height(self.0, number))
        };
        Some(Plane {
            start,
            stride: self.0.stride[usize::from(number)] as isize,
            row_bytes: usize::try_from(width).ok()? * self.sample_bytes(),
            width: usize::try_from(width).ok()?,
            height: usize::try_from(height).ok()?,
            frame: PhantomData,
        })
    }
}

#[derive(Clone, Copy)]
pub(super) struct Plane<'a> {
    start: *const u8,
    stride: isize,
    row_bytes: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    frame: PhantomData<&'a aom_image_t>,
}

impl<'a> Plane<'a> {
    /// The bytes of a row; `None` below the last.
    pub(super) fn row(&self, number: usize) -> Option<&'a [u8]> {
        if number >= self.height {
            return None;
        }
        // SAFETY: a plane has `height` rows of `row_bytes`, each `stride` after the one before, as long as its frame lives.
        Some(unsafe { slice::from_raw_parts(self.start.offset(number as isize * self.stride), self.row_bytes) })
    }
}
