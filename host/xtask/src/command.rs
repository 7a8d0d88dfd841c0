//! Runs outside programs: says the line first, turns a bad exit status into an error.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Prints the command, with the variables set for it, in a form that a shell accepts.
pub(crate) fn announce(command: &Command) {
    eprintln!("+ {}", line(command));
}

/// Announces and runs a command, its output going to the terminal.
///
/// # Errors
/// The program cannot be started, or its exit status is not 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command
        .status()
        .with_context(|| format!("could not start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// The standard output of a command, without the white space at its ends.
///
/// # Errors
/// The program cannot be started, or its exit status is not 0.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("could not start `{}`", line(command)))?;
    if !output.status.success() {
        bail!("`{}` ended with {}", line(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn line(command: &Command) -> String {
    let mut words = Vec::new();
    if let Some(dir) = command.get_current_dir() {
        words.push(format!("cd {} &&", quote(&dir.to_string_lossy())));
    }
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!(
                "{}={}",
                key.to_string_lossy(),
                quote(&value.to_string_lossy())
            ));
        }
    }
    words.push(quote(&command.get_program().to_string_lossy()));
    words.extend(command.get_args().map(|arg| quote(&arg.to_string_lossy())));
    words.join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let mut command = Command::new("cargo");
        command
            .args(["build", "it's"])
            .env("RUSTFLAGS", "-C a=b")
            .current_dir("firmware");
        assert_eq!(
            line(&command),
            r"cd firmware && RUSTFLAGS='-C a=b' cargo build 'it'\''s'"
        );
    }
}
