//! Families whose habits the bundled model doesn't have, on graphs that can be worked out by hand
//! (`tests/fixtures/make_tiny_models.py`).

use embedding::EmbedError;

use crate::{assert_direction, load, plain_png, tiny};

#[tokio::test]
async fn siglip_pads_to_the_whole_context_and_canonicalizes_without_a_mask() {
    let model = load(&tiny("siglip")).await.unwrap();
    // Eight tokens: red, end of text, six of padding worth 0.5 each.
    let expected = [1.0, 0.0, 0.0, 4.0];
    assert_direction(&model.embed_text("red").await.unwrap(), &expected);
    assert_direction(&model.embed_text("  RED!! ").await.unwrap(), &expected);
}

#[tokio::test]
async fn pooled_and_unnormalised_outputs_become_unit_vectors() {
    for name in ["siglip", "clip"] {
        let model = load(&tiny(name)).await.unwrap();
        let vector = model.embed_query_image(plain_png([255, 0, 0])).await.unwrap();
        assert_direction(&vector, &[1.0, -1.0, -1.0, 0.0]);
    }
}

#[tokio::test]
async fn clip_with_a_mask_needs_no_padding() {
    let model = load(&tiny("clip")).await.unwrap();
    assert_direction(&model.embed_text("green blue").await.unwrap(), &[0.0, 1.0, 1.0, 1.0]);
}

#[tokio::test]
async fn open_clip_takes_int32_padded_to_its_fixed_length_in_batches_of_one() {
    let model = load(&tiny("open_clip")).await.unwrap();
    assert_direction(&model.embed_text("red green").await.unwrap(), &[1.0, 1.0, 0.0, 3.5]);
    // Not canonicalized: the words are unknown.
    assert_direction(&model.embed_text("RED").await.unwrap(), &[0.5, 0.5, 0.5, 4.0]);
    let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
    let mut prepared = Vec::new();
    for colour in colours {
        prepared.push(model.prepare(plain_png(colour)).await.unwrap());
    }
    for (index, vector) in model.embed_batch(prepared).await.into_iter().enumerate() {
        let mut expected = [-1.0, -1.0, -1.0, 0.0];
        expected[index] = 1.0;
        assert_direction(&vector.unwrap().0, &expected);
    }
}

#[tokio::test]
async fn open_clips_canonicalize_is_honoured() {
    let model = load(&tiny("open_clip_siglip")).await.unwrap();
    assert_direction(&model.embed_text("(RED)").await.unwrap(), &[1.0, 0.0, 0.0, 4.0]);
}

#[tokio::test]
async fn multilingual_clips_mask_hides_the_padding() {
    let model = load(&tiny("multilingual")).await.unwrap();
    assert_direction(&model.embed_text("blue").await.unwrap(), &[0.0, 0.0, 1.0, 1.0]);
}

#[tokio::test]
async fn nllb_gets_the_language_before_the_text() {
    let model = load(&tiny("nllb")).await.unwrap();
    // eng_Latn is worth -3, five of padding 2.5.
    assert_direction(&model.embed_text("red").await.unwrap(), &[1.0, 0.0, 0.0, 0.5]);
}

#[tokio::test]
async fn a_text_beyond_the_context_is_cut_and_keeps_its_end() {
    let model = load(&tiny("plain")).await.unwrap();
    let long = "red ".repeat(1000);
    // Seven words and the end of text, worth 1 in the last number.
    assert_direction(&model.embed_text(&long).await.unwrap(), &[7.0, 0.0, 0.0, 1.0]);
    assert_direction(&model.embed_text(&"red ".repeat(7)).await.unwrap(), &[7.0, 0.0, 0.0, 1.0]);
}

#[tokio::test]
async fn a_text_without_words_is_refused() {
    let model = load(&tiny("open_clip_siglip")).await.unwrap();
    for text in ["", " \n", "!?"] {
        let error = model.embed_text(text).await.unwrap_err();
        assert_eq!(error.to_string(), "the text has nothing to search for");
    }
}

#[tokio::test]
async fn zero_and_nan_vectors_are_refused_one_image_at_a_time() {
    for (name, reason) in [("plain", "zero vector"), ("nan_for_black", "NaN")] {
        let model = load(&tiny(name)).await.unwrap();
        let mut prepared = Vec::new();
        for colour in [[255, 0, 0], [0, 0, 0], [0, 0, 255]] {
            prepared.push(model.prepare(plain_png(colour)).await.unwrap());
        }
        let vectors = model.embed_batch(prepared).await;
        assert_direction(&vectors[0].as_ref().unwrap().0, &[1.0, 0.0, 0.0, 0.0]);
        assert_direction(&vectors[2].as_ref().unwrap().0, &[0.0, 0.0, 1.0, 0.0]);
        let error = vectors[1].as_ref().unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(error.is_permanent());
        assert!(matches!(model.embed_query_image(plain_png([0, 0, 0])).await, Err(EmbedError::Model(_))));
    }
}

#[tokio::test]
async fn an_undecodable_query_image_is_a_decode_error() {
    let model = load(&tiny("plain")).await.unwrap();
    let error = model.embed_query_image("no image".into()).await.unwrap_err();
    assert!(matches!(error, EmbedError::Decode(_)), "{error}");
}
