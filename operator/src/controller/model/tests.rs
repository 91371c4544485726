#![allow(clippy::unwrap_used)]

use super::*;

const KEEP: Duration = Duration::from_hours(1);
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn model(name: &str) -> ModelChoice {
    ModelChoice { source: format!("https://models.example.com/{name}"), ..ModelChoice::default() }
}

fn uses(name: &str, slot: Slot) -> Plan {
    Plan { current: Some(CurrentModel { model: known(&model(name)), slot }), beside: None }
}

impl Plan {
    fn and(self, name: &str, state: BesideState) -> Self {
        let until = (state == BesideState::Kept).then(|| Time(NOW.checked_add(KEEP).unwrap()));
        Self { beside: Some(ModelBeside { until, ..with_state(known(&model(name)), state) }), ..self }
    }

    fn wanting(&self, name: &str, facts: &Facts) -> Self {
        self.at(name, facts, NOW)
    }

    fn at(&self, name: &str, facts: &Facts, now: Timestamp) -> Self {
        let wanted = model(name);
        let next = |plan: Self| plan.recognized(&wanted, facts).next(Wish { model: &wanted, keep: KEEP }, facts, now);
        let after = next(self.clone());
        assert_eq!(next(self.clone()), after, "broken off before the status was written, the same follows");
        after
    }
}

fn nothing() -> Facts {
    Facts::default()
}

fn stored() -> Facts {
    Facts { is_stored: true, ..Facts::default() }
}

fn filled() -> Facts {
    Facts { fill: Some(JobEnd::Succeeded), ..stored() }
}

fn serving() -> Facts {
    Facts { beside_serves: true, ..filled() }
}

fn failed() -> Facts {
    Facts { fill: Some(JobEnd::Failed), ..stored() }
}

fn removed() -> Facts {
    Facts { is_removed: true, ..stored() }
}

#[test]
fn the_first_model_is_used_once_it_is_stored() {
    let first = Plan::default();
    assert_eq!(first.wanting("one", &nothing()), Plan::default());
    assert_eq!(first.wanting("one", &stored()), uses("one", Slot::A));
}

#[test]
fn a_lost_status_is_read_off_the_pods() {
    let lost = Plan::default();
    let facts = Facts { found: Some(Slot::B), loading_wanted: Some(Slot::B), ..stored() };
    assert_eq!(lost.clone().recognized(&model("one"), &facts), uses("one", Slot::B));
    // Made for another model, they roll to the wanted one, as soon as that can be loaded.
    let facts = Facts { found: Some(Slot::A), ..nothing() };
    assert_eq!(lost.wanting("one", &facts), Plan::default());
    assert_eq!(lost.wanting("one", &Facts { is_stored: true, ..facts }), uses("one", Slot::A));
}

#[test]
fn a_status_without_checksums_is_no_other_model() {
    let status = serde_json::json!({ "summary": "one", "current": { "source": "https://models.example.com/one" } });
    let status: ModelStatus = serde_json::from_value(status).unwrap();
    let plan = Plan::of(Some(&status));
    assert_eq!(plan, uses("one", Slot::A));
    let wanted = ModelChoice { sha256: [("archive".into(), "0".repeat(64))].into(), ..model("one") };
    let facts = Facts { found: Some(Slot::A), loading_wanted: Some(Slot::A), ..stored() };
    assert!(plan.clone().recognized(&wanted, &facts).searches_use(&wanted));
    // Pods that were made without them are of another one.
    let facts = Facts { loading_wanted: None, ..facts };
    assert!(!plan.recognized(&wanted, &facts).searches_use(&wanted));
}

#[test]
fn what_is_known_of_the_slot_in_use_is_not_read_off_the_other() {
    let plan = uses("one", Slot::A).and("two", BesideState::Building);
    let facts = Facts { found: Some(Slot::A), loading_wanted: Some(Slot::B), ..stored() };
    assert_eq!(plan.clone().recognized(&model("two"), &facts), plan);
}

#[test]
fn a_model_that_stays_stays() {
    let plan = uses("one", Slot::B);
    for facts in [nothing(), stored(), serving(), failed(), removed()] {
        assert_eq!(plan.wanting("one", &facts), plan);
    }
}

#[test]
fn another_model_is_built_once_it_is_stored() {
    let plan = uses("one", Slot::A);
    assert_eq!(plan.wanting("two", &nothing()), plan);
    assert_eq!(plan.wanting("two", &stored()), plan.clone().and("two", BesideState::Building));
    // Other checksums are another model.
    let wanted = ModelChoice { sha256: [("archive".into(), "0".repeat(64))].into(), ..model("one") };
    let next = plan.next(Wish { model: &wanted, keep: KEEP }, &stored(), NOW);
    assert_eq!(next.beside.unwrap().model.choice, wanted);
}

#[test]
fn searches_move_when_it_is_filled_and_all_of_its_pods_serve() {
    let building = uses("one", Slot::A).and("two", BesideState::Building);
    for facts in [stored(), filled(), Facts { beside_serves: true, ..stored() }] {
        assert_eq!(building.wanting("two", &facts), building);
    }
    assert_eq!(building.wanting("two", &serving()), uses("two", Slot::B).and("one", BesideState::Kept));
}

#[test]
fn a_change_back_to_slot_a_takes_it() {
    let building = uses("two", Slot::B).and("three", BesideState::Building);
    assert_eq!(building.wanting("three", &serving()), uses("three", Slot::A).and("two", BesideState::Kept));
}

#[test]
fn what_is_not_to_be_kept_leaves_at_once() {
    let building = uses("one", Slot::A).and("two", BesideState::Building);
    let next = building.next(Wish { model: &model("two"), keep: Duration::ZERO }, &serving(), NOW);
    assert_eq!(next, uses("two", Slot::B).and("one", BesideState::Leaving));
}

#[test]
fn a_model_that_is_no_longer_wanted_while_it_is_built_leaves() {
    let building = uses("one", Slot::A).and("two", BesideState::Building);
    for (wanted, facts) in [("one", stored()), ("three", nothing()), ("three", serving())] {
        assert_eq!(building.wanting(wanted, &facts), uses("one", Slot::A).and("two", BesideState::Leaving), "{wanted}");
    }
}

#[test]
fn a_model_that_is_refused_leaves_and_comes_again_when_its_job_is_gone() {
    let building = uses("one", Slot::A).and("two", BesideState::Building);
    let leaving = uses("one", Slot::A).and("two", BesideState::Leaving);
    assert_eq!(building.wanting("two", &failed()), leaving);
    assert_eq!(leaving.wanting("two", &failed()), leaving);
    let refused = leaving.wanting("two", &Facts { is_removed: true, ..failed() });
    assert_eq!(refused, uses("one", Slot::A));
    assert_eq!(refused.wanting("two", &failed()), refused, "it stays refused");
    assert_eq!(refused.wanting("two", &stored()), building);
    assert_eq!(refused.wanting("three", &stored()), uses("one", Slot::A).and("three", BesideState::Building));
}

#[test]
fn going_back_takes_no_filling() {
    let kept = uses("two", Slot::B).and("one", BesideState::Kept);
    let facts = Facts { beside_serves: true, ..nothing() };
    assert_eq!(kept.wanting("one", &facts), uses("one", Slot::A).and("two", BesideState::Kept));
    // What is wanted is waited for, however long.
    let later = NOW.checked_add(KEEP * 2).unwrap();
    assert_eq!(kept.at("one", &nothing(), later), kept);
}

#[test]
fn a_kept_model_leaves_when_its_time_is_over() {
    let kept = uses("two", Slot::B).and("one", BesideState::Kept);
    let until = NOW.checked_add(KEEP).unwrap();
    assert_eq!(kept.at("two", &stored(), until - Duration::from_secs(1)), kept);
    assert_eq!(kept.at("two", &stored(), until), uses("two", Slot::B).and("one", BesideState::Leaving));
}

#[test]
fn a_kept_model_makes_room_for_a_third_one() {
    let kept = uses("two", Slot::B).and("one", BesideState::Kept);
    assert_eq!(kept.wanting("three", &nothing()), uses("two", Slot::B).and("one", BesideState::Leaving));
}

#[test]
fn another_change_begins_when_what_leaves_is_removed() {
    let leaving = uses("two", Slot::B).and("one", BesideState::Leaving);
    for facts in [stored(), serving()] {
        assert_eq!(leaving.wanting("three", &facts), leaving);
        assert_eq!(leaving.wanting("one", &facts), leaving);
    }
    assert_eq!(leaving.wanting("three", &removed()), uses("two", Slot::B));
    assert_eq!(
        uses("two", Slot::B).wanting("three", &stored()),
        uses("two", Slot::B).and("three", BesideState::Building)
    );
}

#[test]
fn what_is_known_of_a_model_goes_with_it() {
    let mut building = uses("one", Slot::A).and("two", BesideState::Building);
    building.current.as_mut().unwrap().model.fingerprint = Some("1".into());
    building.beside.as_mut().unwrap().model.fingerprint = Some("2".into());
    let kept = building.wanting("two", &serving());
    assert_eq!(kept.current.as_ref().unwrap().model.fingerprint.as_deref(), Some("2"));
    let back = kept.wanting("one", &serving());
    assert_eq!(back.current.unwrap().model.fingerprint.as_deref(), Some("1"));
    assert_eq!(back.beside.unwrap().model.fingerprint.as_deref(), Some("2"));
}
