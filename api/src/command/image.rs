//! `zonepulse server image`.

use super::block_on;
use super::source::Running;
use crate::Error;
use clap::Subcommand;
use serde::Deserialize;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use zonepulse_central::images::MAX_BYTES;
use zonepulse_tools::Method;

/// Where the central has its images.
const IMAGES: &str = "/api/v2/pvservers/imgversions";
const JSON: &str = "application/json";

/// The probe's programs that a running central hands out.
#[derive(Debug, Subcommand)]
pub(super) enum Image {
    /// Upload a program of the probe, such as the static file zonepulse-probe-VERSION-linux-ARCHITECTURE
    Add {
        /// The program
        file: PathBuf,
        /// Its version, if it does not say it
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
        #[command(flatten)]
        central: Running,
    },
    /// List the images, by architecture, the newest first
    List {
        #[command(flatten)]
        central: Running,
    },
    /// Remove an uploaded image
    Remove {
        /// Its name, as `list` shows it
        image: String,
        #[command(flatten)]
        central: Running,
    },
}

/// An image, as the central describes it.
#[derive(Deserialize)]
struct Row {
    image: String,
    version: String,
    architecture: String,
    r#static: bool,
    size_bytes: u64,
    sha256: String,
    uploaded: String,
    origin: String,
}

impl Image {
    pub(super) fn run(&self) -> Result<ExitCode, Error> {
        match self {
            Image::Add { file, version, central } => {
                let failed = |source| Error::File { path: file.clone(), source };
                if fs::metadata(file).map_err(failed)?.len() > MAX_BYTES {
                    return Err(Error::Argument(format!("{}: an image has at most {MAX_BYTES} bytes", file.display())));
                }
                let (body, api) = (fs::read(file).map_err(failed)?, central.api()?);
                let parameters: Vec<_> = version.iter().map(|version| ("version", version.clone())).collect();
                let body = Some(("application/octet-stream", body));
                let answer = block_on(api.call(Method::Post, IMAGES, &parameters, body, JSON))?;
                show(&[read(&answer)?])?;
            }
            Image::List { central } => {
                let api = central.api()?;
                show(&read::<Vec<Row>>(&block_on(api.call(Method::Get, IMAGES, &[], None, JSON))?)?)?;
            }
            Image::Remove { image, central } => {
                if !image.chars().all(|c| c.is_ascii_alphanumeric() || ".-_+".contains(c)) {
                    return Err(Error::Argument(format!("{image:?} is not the name of an image: `image list` shows the names")));
                }
                block_on(central.api()?.call(Method::Delete, &format!("{IMAGES}/{image}"), &[], None, JSON))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(answer).map_err(|error| Error::Config(format!("the answer of the central: {error}")))
}

fn show(rows: &[Row]) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "image\tversion\tarchitecture\tstatic\tsize_bytes\tuploaded\torigin\tsha256")?;
    for Row { image, version, architecture, r#static, size_bytes, sha256, uploaded, origin } in rows {
        let linked = if *r#static { "yes" } else { "no" };
        writeln!(out, "{image}\t{version}\t{architecture}\t{linked}\t{size_bytes}\t{uploaded}\t{origin}\t{sha256}")?;
    }
    Ok(())
}
