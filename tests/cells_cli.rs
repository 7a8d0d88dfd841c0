//! The cell spaces on the command line: searched, cut and resumed, trained, evaluated.

use crate::program::{aplysia_binary, firmware};
use aplysia_deploy::Card;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn aplysia(line: &str, paths: &[&Path]) -> Output {
    let mut paths = paths.iter();
    let words = line.split(' ').map(|word| match word {
        "PATH" => paths.next().unwrap().display().to_string(),
        word => word.to_string(),
    });
    Command::new(aplysia_binary()).args(words).output().unwrap()
}

/// Standard output of a command that must end well.
#[track_caller]
fn finish(line: &str, paths: &[&Path]) -> String {
    let output = aplysia(line, paths);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_search_of_cells_cut_and_resumed_equals_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    for (space, skeleton) in [("nasbench201", "4 --cells 1"), ("darts", "2 --cells 2")] {
        let (whole, cut) = (
            dir.path().join(space),
            dir.path().join(format!("{space}-cut")),
        );
        let line = format!(
            "search PATH --space {space} --channels {skeleton} --trials 3 --population 2 \
             --images 64 --rungs 1,2 --seed 5 --macs 9000000 --batch 32 --clip-norm 5"
        );
        let story = finish(&line, &[&whole]);
        assert!(
            story.contains("validation accuracy, flash, RAM, MACs, estimated instructions"),
            "{story}"
        );
        fs::create_dir(&cut).unwrap();
        fs::copy(whole.join("study.toml"), cut.join("study.toml")).unwrap();
        let ledger = fs::read_to_string(whole.join("ledger.jsonl")).unwrap();
        // The candidates of the first generation; no training, whose checkpoint would be missed.
        let kept: Vec<&str> = ledger.split_inclusive('\n').take(2).collect();
        fs::write(cut.join("ledger.jsonl"), kept.concat()).unwrap();
        finish("search PATH --resume", &[&cut]);
        for file in ["ledger.jsonl", "front.json", "best.toml"] {
            let text = |study: &Path| fs::read_to_string(study.join(file)).unwrap();
            assert_eq!(text(&cut), text(&whole), "{file}");
        }
    }
    // The winner is trained in the skeleton it was found in, and evaluated from its folder.
    let (winner, run) = (
        dir.path().join("nasbench201/best.toml"),
        dir.path().join("run"),
    );
    finish(
        "train PATH --out PATH --images 64 --epochs 1",
        &[&winner, &run],
    );
    let kept = fs::read_to_string(run.join("genotype.toml")).unwrap();
    assert_eq!(kept, fs::read_to_string(&winner).unwrap());
    assert!(finish("evaluate PATH", &[&run]).contains("float accuracy"));
}

/// A run of cells is exported; the emulated device computes the host's scores; costs are those of the
/// genotype.
fn on_the_device(run: &Path, model: &Path) {
    finish("export PATH --out PATH --calibration 32", &[run, model]);
    assert!(finish("evaluate PATH", &[model]).starts_with("int8 accuracy"));
    let blob = model.join("model.blob");
    let line = "device infer PATH --images 3 --firmware PATH";
    let story = finish(line, &[&blob, &firmware()]);
    assert!(
        story.contains("3 test images, every score equal to the host's"),
        "{story}"
    );
    let costs = |text: String| -> Vec<String> {
        let lines = text.lines().map(str::to_owned);
        let kept = ["RAM", "work", "instructions"];
        lines
            .filter(|l| kept.iter().any(|k| l.starts_with(k)))
            .collect()
    };
    let of_blob = costs(finish("inspect PATH", &[&blob]));
    assert!(of_blob.len() >= 3, "{of_blob:?}");
    assert_eq!(
        of_blob,
        costs(finish("inspect PATH", &[&model.join("genotype.toml")]))
    );
}

/// The first command of the card makes the exported run again, bit for bit.
fn trained_again(run: &Path, model: &Path, dir: &Path) {
    let card = Card::from_toml(&fs::read_to_string(model.join("card.toml")).unwrap()).unwrap();
    let mut words = card.commands[0].split(' ');
    assert_eq!(words.next(), Some("aplysia"));
    let mut again = Command::new(aplysia_binary());
    let output = again.args(words).current_dir(dir).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", card.commands[0]);
    for file in ["genotype.toml", "params.json"] {
        let bytes = |run: &Path| fs::read(run.join(file)).unwrap();
        assert!(bytes(&dir.join("run-1")) == bytes(run), "{file} differs");
    }
}

#[test]
fn cells_are_trained_by_name_and_by_string() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("darts");
    let line = "train BIODARTS --out PATH --channels 2 --cells 3 --auxiliary 0.4 --drop-path 0.2 \
                --cutout 8 --resized-crop 0.5 --jitter 0.1,0.2,0,0 --flip false --clip-norm 5 \
                --images 64 --epochs 2 --batch 32";
    finish(line, &[&run]);
    let kept = fs::read_to_string(run.join("genotype.toml")).unwrap();
    for words in [
        "sep_conv_3x3:frsf~1",
        "[skeleton]",
        "channels = 2",
        "auxiliary = true",
    ] {
        assert!(kept.contains(words), "no `{words}` in {kept}");
    }
    // A finished run is left as it is; another skeleton is another run.
    let before = fs::read(run.join("run.json")).unwrap();
    finish(line, &[&run]);
    assert_eq!(fs::read(run.join("run.json")).unwrap(), before);
    let other = aplysia(&line.replace("--cells 3", "--cells 4"), &[&run]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("another genotype"));
    let model = dir.path().join("darts-model");
    on_the_device(&run, &model);
    trained_again(&run, &model, dir.path());

    let cell =
        "|nor_conv_3x3:usf~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|";
    let run = dir.path().join("nasbench201");
    let line = format!("train {cell} --out PATH --channels 2 --cells 1 --images 64 --epochs 1");
    finish(&line, &[&run]);
    assert!(
        fs::read_to_string(run.join("genotype.toml"))
            .unwrap()
            .contains(cell)
    );
    let costs = finish("inspect PATH", &[&run]);
    assert!(costs.contains("weights trained by: bp"), "{costs}");
    let auxiliary = aplysia(&format!("{line} --auxiliary 0.4"), &[&run]);
    let errors = String::from_utf8_lossy(&auxiliary.stderr);
    assert!(
        errors.contains("--auxiliary changes nothing in a network of the space nasbench201"),
        "{errors}"
    );
    assert!(finish("inspect BIODARTS", &[]).contains("for fashion-mnist"));
    on_the_device(&run, &dir.path().join("nasbench201-model"));
    let unknown = aplysia("train BIODART --out PATH", &[&run]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("cannot read the genotype BIODART"));
}
