//! The protocol of a robustness evaluation: cells, restarts, worst case, masking, and checks that trip on
//! planted violations.

use crate::linear_victim::{Answered, Linear};
use aplysia_attack::{
    Attack, AttackError, Batch, Cell, Outcome, Protocol, Route, Summary, Target, Verdict, Victim,
};
use std::ops::ControlFlow;

fn protocol() -> Protocol {
    Protocol {
        attacks: Attack::ALL.to_vec(),
        epsilons_255: vec![2.0, 8.0],
        n_steps: 8,
        n_restarts: 2,
        n_apgd_steps: 12,
        n_queries: 60,
        n_pixels: 1,
        generations: 4,
        population: 12,
        seed: 1,
    }
}

fn go_on(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn outcomes(protocol: &Protocol, victim: Victim, batch: &Batch) -> Vec<Outcome> {
    let run = |cell| {
        protocol
            .run(cell, victim, batch, &mut go_on)
            .unwrap()
            .unwrap()
    };
    protocol.cells(victim).into_iter().map(run).collect()
}

fn evaluate(victim: Victim, set: &Answered) -> Summary {
    let protocol = protocol();
    let outcomes = outcomes(&protocol, victim, &set.batch());
    Summary::new(&protocol, &vec![true; set.labels.len()], &outcomes)
}

#[test]
fn an_honest_victim_passes_every_check() {
    let (honest, twin) = (Linear::random(4, 1), Linear::random(4, 2));
    let set = Answered::new(&honest, 150, 1);
    let victim = Victim {
        own: None,
        exact: &honest,
        twin: Some(&twin),
    };
    let cells = protocol().cells(victim);
    // Five attacks by two routes and Square at two strengths, One-Pixel, the limit.
    assert_eq!(cells.len(), 5 * 2 * 2 + 2 + 1 + 1);
    let summary = evaluate(victim, &set);
    assert_eq!(summary.rows.len(), cells.len());
    assert_eq!(summary.clean_pct, 100.0);
    assert_eq!(summary.faults().count(), 0, "{summary}");
    let weak: Vec<_> = summary.masking().collect();
    assert!(weak.iter().all(|c| c.what.contains("transfer")), "{weak:?}");
    for h in &summary.headlines {
        assert_eq!(h.own_pct, h.exact_pct);
        let parts = [h.exact_pct, h.transfer_pct, h.square_pct].map(Option::unwrap);
        assert!(parts.iter().all(|&p| p >= h.worst_pct), "{h:?}");
        assert!(h.worst_with_pixels_pct <= h.worst_pct);
    }
    assert!(summary.headlines[1].worst_pct < summary.headlines[0].worst_pct);
    // Every loss in its table.
    let text = summary.to_string();
    for attack in Attack::ALL {
        assert!(text.contains(attack.name()), "{attack} in {text}");
    }
}

#[test]
fn a_blind_feedback_is_called_masking() {
    let (honest, mut blind) = (Linear::random(4, 3), Linear::random(4, 3));
    blind.honesty = 0.0;
    let set = Answered::new(&honest, 150, 3);
    let victim = Victim {
        own: Some(&blind),
        exact: &honest,
        twin: None,
    };
    let summary = evaluate(victim, &set);
    assert_eq!(summary.faults().count(), 0, "{summary}");
    let white = |c: &&aplysia_attack::Check| c.what.contains("white box (own)");
    assert!(summary.masking().filter(white).count() > 0, "{summary}");
    let h = &summary.headlines[1];
    let own = h.own_pct.unwrap();
    assert!(own > 80.0 && h.worst_pct < own - 20.0, "{h:?}");
    let share = 100.0 * (own - h.worst_pct) / own;
    assert!((h.masked_pct.unwrap() - share).abs() < 1e-9);
}

#[test]
fn a_lying_gradient_that_is_said_to_be_exact_is_a_fault() {
    let mut liar = Linear::random(4, 5);
    liar.honesty = -1.0;
    let set = Answered::new(&liar, 150, 5);
    let victim = Victim {
        own: None,
        exact: &liar,
        twin: None,
    };
    let summary = evaluate(victim, &set);
    let faults: Vec<&str> = summary.faults().map(|c| c.what.as_str()).collect();
    let has = |words: &str| faults.iter().any(|f| f.contains(words));
    assert!(
        has("white box (exact) leaves no more than square"),
        "{faults:?}"
    );
    assert!(has("leaves nothing at 128/255"), "{faults:?}");
    assert!(summary.to_string().contains("FAULT"));
}

/// `left` of 100 images withstand the cell.
fn planted(attack: Attack, route: Route, epsilon_255: f32, left: usize) -> Outcome {
    Outcome {
        cell: Cell {
            attack,
            route,
            epsilon_255: Some(epsilon_255),
        },
        survived: (0..100).map(|i| i < left).collect(),
    }
}

#[test]
fn checks_trip_on_planted_violations() {
    use Attack::{Fgsm, Pgd, Square};
    use Route::{Exact, Own, Queries, Transfer};
    let check = |outcomes: &[Outcome], words: &str, verdict: Option<Verdict>| {
        let summary = Summary::new(&protocol(), &[true; 100], outcomes);
        let found = summary.checks.iter().find(|c| c.what.contains(words));
        assert_eq!(found.map(|c| c.verdict), verdict, "{words}");
    };
    let more = |route| [planted(Fgsm, route, 2.0, 50), planted(Fgsm, route, 8.0, 52)];
    let (holds, fault, masking) = (
        Some(Verdict::Holds),
        Some(Verdict::Fault),
        Some(Verdict::Masking),
    );
    check(&more(Exact), "8/255 leaves no more than 2/255", fault);
    check(&more(Own), "fgsm (own): 8/255", masking);
    check(&more(Transfer), "fgsm (transfer): 8/255", masking);
    let within = [planted(Fgsm, Exact, 2.0, 50), planted(Fgsm, Exact, 8.0, 51)];
    check(&within, "fgsm (exact): 8/255", holds);
    let weaker = |route| [planted(Fgsm, route, 2.0, 50), planted(Pgd, route, 2.0, 60)];
    check(
        &weaker(Exact),
        "pgd (exact) leaves no more than fgsm",
        fault,
    );
    check(&weaker(Own), "pgd (own) leaves no more than fgsm", masking);
    check(&weaker(Transfer), "leaves no more than fgsm", None);
    let black = |route| {
        [
            planted(Pgd, route, 2.0, 60),
            planted(Square, Queries, 2.0, 40),
        ]
    };
    check(
        &black(Exact),
        "white box (exact) leaves no more than square",
        fault,
    );
    check(
        &black(Own),
        "white box (own) leaves no more than square",
        masking,
    );
    let twin = [
        planted(Pgd, Exact, 2.0, 60),
        planted(Pgd, Transfer, 2.0, 40),
    ];
    check(
        &twin,
        "white box (exact) leaves no more than transfer",
        fault,
    );
    check(&[planted(Pgd, Exact, 128.0, 2)], "at 128/255", fault);
    check(&[planted(Pgd, Exact, 128.0, 1)], "at 128/255", holds);
}

#[test]
fn the_worst_case_is_per_image() {
    let even = |left: bool| (0..100).map(|i| (i % 2 == 0) == left).collect();
    let mut outcomes = [
        planted(Attack::Fgsm, Route::Exact, 2.0, 0),
        planted(Attack::Square, Route::Queries, 2.0, 0),
    ];
    outcomes[0].survived = even(true);
    outcomes[1].survived = even(false);
    let summary = Summary::new(&protocol(), &[true; 100], &outcomes);
    assert_eq!(
        summary
            .rows
            .iter()
            .map(|r| r.accuracy_pct)
            .collect::<Vec<_>>(),
        [50.0, 50.0]
    );
    assert_eq!(summary.headlines.len(), 1, "no cell at 8/255");
    assert_eq!(summary.headlines[0].worst_pct, 0.0);
    assert_eq!(summary.headlines[0].masked_pct, Some(100.0));
}

#[test]
fn outcomes_repeat_keep_their_form_and_can_be_interrupted() {
    let victim = Linear::random(4, 7);
    let set = Answered::new(&victim, 140, 7);
    let victim = Victim {
        own: None,
        exact: &victim,
        twin: None,
    };
    let cell = protocol().cells(victim)[3];
    let run = || {
        protocol()
            .run(cell, victim, &set.batch(), &mut go_on)
            .unwrap()
            .unwrap()
    };
    let outcome = run();
    assert_eq!(run(), outcome);
    let text = serde_json::to_string(&outcome).unwrap();
    assert!(text.starts_with(r#"{"attack":"pgd","route":"exact","epsilon_255":8.0,"survived":""#));
    assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
    let mut done = vec![];
    let stopped = protocol().run(cell, victim, &set.batch(), &mut |n| {
        done.push(n);
        ControlFlow::Break(())
    });
    assert_eq!((stopped, done), (Ok(None), vec![128]));
}

#[test]
fn what_cannot_be_attacked_is_named() {
    let two = Linear::random(2, 1);
    let set = Answered::new(&two, 3, 1);
    let victim = Victim {
        own: None,
        exact: &two,
        twin: None,
    };
    let cell = |attack, route| Cell {
        attack,
        route,
        epsilon_255: Some(2.0),
    };
    let run = |cell, batch: &Batch| protocol().run(cell, victim, batch, &mut go_on).unwrap_err();
    let dlr = cell(Attack::ApgdDlr, Route::Exact);
    let error = run(dlr, &set.batch());
    assert_eq!(
        error,
        AttackError::Classes {
            cell: dlr,
            got: two.n_classes()
        }
    );
    let transfer = cell(Attack::Pgd, Route::Transfer);
    assert_eq!(
        run(transfer, &set.batch()),
        AttackError::NoGuide { cell: transfer }
    );
    let short = Batch {
        pixels: &set.pixels[1..],
        ..set.batch()
    };
    let pgd = cell(Attack::Pgd, Route::Exact);
    assert!(matches!(
        run(pgd, &short),
        AttackError::Data { what: "pixels", .. }
    ));
}
