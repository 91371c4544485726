#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::*;
use crate::testing::{DIMENSION, World, model, vector_of};

/// Texts of no image here.
fn texts() -> Arc<[Vec<f32>]> {
    ["one", "two", "three"].map(|text| vector_of(shared::ImageId::of(text.as_bytes()))).to_vec().into()
}

async fn with_images(count: usize) -> World {
    let world = World::start().await;
    upload(&world, 0..count).await;
    world
}

async fn upload(world: &World, numbers: std::ops::Range<usize>) {
    for number in numbers {
        world.upload(format!("image {number}").as_bytes()).await;
    }
    world.work().await;
}

async fn look(world: &World) -> Option<Calibration> {
    let due = due(world.stores.objects.as_ref(), world.collection.as_ref()).await.unwrap()?;
    measure(world, due).await
}

async fn measure(world: &World, due: Due) -> Option<Calibration> {
    due.measure(world.stores.objects.as_ref(), world.collection.as_ref(), texts()).await.unwrap()
}

async fn kept(world: &World) -> Option<Calibration> {
    read(world.stores.objects.as_ref(), &model()).await.unwrap()
}

#[tokio::test]
async fn a_collection_is_measured_when_it_is_large_enough_and_again_when_it_has_grown() {
    let world = with_images(15).await;
    assert_eq!((look(&world).await, kept(&world).await), (None, None), "too few");
    upload(&world, 15..16).await;
    let first = look(&world).await.unwrap();
    assert_eq!((first.images, kept(&world).await), (16, Some(first)));
    upload(&world, 16..23).await;
    assert_eq!(look(&world).await, None, "not half as many more");
    upload(&world, 23..24).await;
    assert_eq!(look(&world).await.unwrap().images, 24);
}

#[tokio::test]
async fn the_measures_are_those_of_every_pair_in_the_collection() {
    let world = with_images(20).await;
    let measured = look(&world).await.unwrap();
    let vectors: Vec<_> =
        (0..20).map(|number| vector_of(shared::ImageId::of(format!("image {number}").as_bytes()))).collect();
    let exact = |one: &[f32], other: &[f32]| -> f64 {
        one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
    };
    let with_texts: Vec<f64> =
        texts().iter().flat_map(|text| vectors.iter().map(|image| exact(text, image)).collect::<Vec<_>>()).collect();
    let mut each_other = Vec::new();
    for one in 0..20 {
        each_other.extend((0..one).map(|other| exact(&vectors[one], &vectors[other])));
    }
    for (spread, cosines) in [(measured.texts, with_texts), (measured.pictures, each_other)] {
        let count = cosines.len() as f64;
        let mean = cosines.iter().sum::<f64>() / count;
        let variance = cosines.iter().map(|cosine| (cosine - mean).powi(2)).sum::<f64>() / count;
        assert!((spread.mean - mean).abs() < 1e-5, "{spread:?}, {mean}");
        assert!((spread.deviation - variance.sqrt()).abs() < 1e-5, "{spread:?}, {variance}");
    }
}

#[tokio::test]
async fn of_two_that_measure_at_once_one_is_kept_whole() {
    let world = with_images(16).await;
    let seen = async || due(world.stores.objects.as_ref(), world.collection.as_ref()).await.unwrap().unwrap();
    let (faster, slower) = (seen().await, seen().await);
    let measured = measure(&world, faster).await.unwrap();
    assert_eq!(measure(&world, slower).await, None, "overtaken");
    assert_eq!(kept(&world).await, Some(measured));
}

#[tokio::test]
async fn a_collection_that_lost_most_of_its_images_is_measured_anew() {
    let world = with_images(40).await;
    assert_eq!(look(&world).await.unwrap().images, 40);
    for number in 0..22 {
        world.delete(shared::ImageId::of(format!("image {number}").as_bytes())).await;
    }
    assert_eq!(look(&world).await.unwrap().images, 18);
}

#[tokio::test]
async fn a_damaged_calibration_is_none_and_is_replaced() {
    let world = with_images(16).await;
    let key = keys::calibration(&model());
    world.stores.objects.put(&key, Bytes::from_static(b"{\"images\": 16"), PutCondition::None).await.unwrap();
    assert_eq!(kept(&world).await, None);
    let measured = look(&world).await.unwrap();
    assert_eq!(kept(&world).await, Some(measured));
}

#[test]
fn scores_that_are_all_the_same_tell_nothing() {
    let same = vec![vec![1.0; DIMENSION]; 20];
    assert_eq!(Calibration::measure(20, &texts(), &same), None);
}
