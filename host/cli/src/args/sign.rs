//! The grammar of `aplysia key` and `aplysia model`.

use clap::Subcommand;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an Ed25519 key, readable by its owner only, and print its public half.
    New {
        /// The file to write (PKCS#8, PEM); it must not exist.
        file: PathBuf,
    },
    /// Print the public half of a key: what a firmware is built with.
    Show {
        /// The file that `key new` or `openssl genpkey -algorithm ed25519` wrote.
        file: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum ModelCommand {
    /// Sign a blob and what it claims of its model, so that devices built with the public key take it.
    Sign {
        /// The blob.
        blob: PathBuf,
        /// The private key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Update counter; devices refuse models with a smaller one than theirs [default: the blob's].
        #[arg(long)]
        counter: Option<u64>,
        /// The signed blob [default: in place].
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Check a blob's signature as a device does, and that what it claims of its model is true.
    Verify {
        /// The blob.
        blob: PathBuf,
        /// The public key (64 hexadecimal digits), or the file of the private one.
        #[arg(long, value_name = "KEY")]
        key: String,
    },
}
