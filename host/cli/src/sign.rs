//! `aplysia key` and `aplysia model`: who may give a device its model.

use crate::args::sign::{KeyCommand, ModelCommand};
use crate::{Outcome, blob, run_folder};
use anyhow::{Context, Result, ensure};
use aplysia_deploy::sign::{Key, trust};
use aplysia_shared::Claims;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Makes or shows a key.
///
/// # Errors
/// The file exists already, cannot be written or read, or holds no key.
pub(crate) fn key(command: &KeyCommand) -> Result<Outcome> {
    match command {
        KeyCommand::New { file } => {
            let key = Key::generate()?;
            // Only the owner may read it, and an old key is never overwritten.
            let mut new = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(file)
                .with_context(|| match file.exists() {
                    true => format!(
                        "{} is not overwritten, it may be the only copy of a key: choose another name",
                        file.display()
                    ),
                    false => format!("cannot make {}", file.display()),
                })?;
            new.write_all(key.to_pem()?.as_bytes())
                .and_then(|()| new.sync_all())
                .with_context(|| format!("cannot write {}", file.display()))?;
            say!("{}", key.public_hex());
        }
        KeyCommand::Show { file } => say!("{}", read_key(file)?.public_hex()),
    }
    Ok(Outcome::Done)
}

/// Signs or verifies a blob.
///
/// # Errors
/// A file cannot be read or written, or the blob or its signature is refused.
pub(crate) fn model(command: &ModelCommand) -> Result<Outcome> {
    match command {
        ModelCommand::Sign {
            blob,
            key,
            counter,
            out,
        } => {
            let key = read_key(key)?;
            let mut bytes = blob::read(blob)?;
            blob::parse(&bytes, blob)?;
            key.sign(&mut bytes, *counter)?;
            let out = out.as_deref().unwrap_or(blob);
            run_folder::write(out, &bytes)?;
            let counter = blob::parse(&bytes, out)?.counter();
            say!(
                "{} signed with {}, counter {counter}",
                out.display(),
                key.public_hex()
            );
            if counter == 0 {
                eprintln!(
                    "warning: a device with a key takes a model with counter 0 only while it has none: number \
                     releases with --counter 1, 2, ..."
                );
            }
        }
        ModelCommand::Verify { blob, key } => {
            let bytes = blob::read(blob)?;
            let public = match Path::new(key).is_file() {
                true => read_key(Path::new(key))?.public_hex(),
                false => key.clone(),
            };
            trust(&public)?
                .verify(&bytes)
                .with_context(|| format!("{} is refused", blob.display()))?;
            let model = blob::parse(&bytes, blob)?;
            let claims = Claims::behind(&bytes).with_context(|| {
                format!(
                    "{} was signed by an older version: devices start it, and those with a key take no update without claims: \
                     sign it again with `aplysia model sign`",
                    blob.display()
                )
            })?;
            ensure!(
                claims == aplysia_live::update::claims(&model)?,
                "{} is not what is claimed of it, or this version computes other scores: sign it again with \
                 `aplysia model sign`",
                blob.display()
            );
            say!(
                "{}: signed with {public}, counter {}, self-test {:08x}",
                blob.display(),
                model.counter(),
                claims.answers
            );
        }
    }
    Ok(Outcome::Done)
}

fn read_key(file: &Path) -> Result<Key> {
    let text = String::from_utf8(blob::read_file(file)?).unwrap_or_default();
    Key::from_pem(&text).with_context(|| format!("{}", file.display()))
}
