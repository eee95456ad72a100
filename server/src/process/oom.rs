//! `oom-score-adj`: whom the kernel ends first when memory runs out.

use crate::listen::plain;
use ringkey_core::settings::{Setting, Settings};

const FILE: &str = "/proc/self/oom_score_adj";

/// The lowest and the highest score.
const BOUNDS: (i64, i64) = (-1000, 1000);

/// The score that the process had before it changed anything; back to it when the directive is switched off.
#[derive(Debug, Default)]
pub struct OomScore {
    base: Option<i64>,
}

impl OomScore {
    /// Puts the settings into effect. There are neither replicas nor background processes here, so the first of
    /// `oom-score-adj-values` counts.
    ///
    /// # Errors
    /// The reason, as CONFIG SET tells it; details go to the log.
    pub fn apply(&mut self, settings: &Settings) -> Result<(), String> {
        let refuse = |what: &str, error: &std::io::Error| {
            log::warn!("Unable to {what} oom_score_adj: {}", plain(error));
            "Failed to set current oom_score_adj. Check server logs.".to_owned()
        };
        let score = match settings.choice(Setting::OomScoreAdj) {
            "no" => match self.base.take() {
                Some(base) => base,
                None => return Ok(()),
            },
            way => {
                let base = match self.base {
                    Some(base) => base,
                    None => {
                        let text = std::fs::read_to_string(FILE).map_err(|error| refuse("read", &error))?;
                        *self.base.insert(text.trim().parse().unwrap_or(0))
                    }
                };
                let wanted = settings.numbers(Setting::OomScoreAdjValues).first().copied().unwrap_or(0);
                let wanted = if way == "absolute" { wanted } else { wanted + base };
                wanted.clamp(BOUNDS.0, BOUNDS.1)
            }
        };
        std::fs::write(FILE, format!("{score}\n")).map_err(|error| refuse("write", &error))
    }
}
