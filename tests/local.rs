//! Rules with a state or an update of their own: Kolen-Pollack's convergence, the Hebbian updates
//! against loops, their schedule, and their options in training.

use crate::training::{config, run};
use aplysia_learn::{Alignment, Device, TrainConfig};
use aplysia_space::Rule;

/// Feedback against weights of every layer after training on the toy with Kolen-Pollack.
fn kolen_pollack(weight_decay: f32) -> Vec<Alignment> {
    let config = TrainConfig {
        epochs: 20,
        lr: 0.02,
        weight_decay,
        ..config()
    };
    let trained = run(Rule::Kp, &config, Device::Cpu, None, 0).unwrap();
    let first = trained.initial_alignment.into_iter().flatten();
    assert!(
        first
            .into_iter()
            .all(|a| (60.0..120.0).contains(&a.angle_deg))
    );
    let last = trained.history.last().unwrap();
    last.alignment.iter().map(|a| a.unwrap()).collect()
}

/// `B − W` shrinks by about `1 − ηλ/(1 − μ)` a step: over 220 steps at a mean rate of 0.01 and
/// λ = 0.2 to less than 2 %. Without decay it stays, and the angle with it.
#[test]
fn weight_decay_turns_learned_feedback_to_the_weights() {
    for a in kolen_pollack(0.2) {
        assert!(
            a.angle_deg < 5.0 && (a.norm_ratio - 1.0).abs() < 0.1,
            "{a:?}"
        );
    }
    let without = kolen_pollack(0.0);
    assert!(without.iter().all(|a| a.angle_deg > 20.0), "{without:?}");
}
