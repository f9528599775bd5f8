//! Users in a file, one a line: CSV with a header, or JSON objects. A line that cannot be read is reported
//! and skipped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use clap::ValueEnum;
use csv::{ByteRecord, ReaderBuilder, StringRecord};
use indicatif::ProgressBar;
use serde_json::{Map, Value};

use super::candidate::{FIELDS, Fields};
use crate::cli::CommandError;

/// The mark that some editors put before UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// How users are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// With a header that names the columns.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// A line, and what is written in it, or why it cannot be read.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) fields: Result<Fields, String>,
}

/// A file that is being read; the bar moves with it.
pub(super) enum Lines {
    Csv {
        reader: csv::Reader<Box<dyn BufRead>>,
        /// For each column what it is here; none for what is not needed.
        columns: Vec<Option<&'static str>>,
        record: ByteRecord,
    },
    Jsonl {
        reader: Box<dyn BufRead>,
        number: u64,
    },
}

/// How large a file is; none for standard input.
pub(super) fn size(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().filter(|_| path != Path::new("-")).map(|data| data.len())
}

impl Lines {
    /// Opens the file; `-` is standard input. Unless given, the format follows from the first character.
    pub(super) fn open(path: &Path, format: Option<Format>, bar: &ProgressBar) -> Result<Self, CommandError> {
        let input: Box<dyn Read> = if path == Path::new("-") {
            Box::new(std::io::stdin())
        } else {
            let opened = File::open(path);
            Box::new(opened.map_err(|error| format!("cannot read {}: {error}", path.display()))?)
        };
        let mut reader: Box<dyn BufRead> = Box::new(BufReader::new(bar.wrap_read(input)));
        let start = reader.fill_buf()?;
        if start.starts_with(MARK) {
            reader.consume(MARK.len());
        }
        let first = reader.fill_buf()?.iter().find(|byte| !byte.is_ascii_whitespace());
        match format.unwrap_or(if first == Some(&b'{') { Format::Jsonl } else { Format::Csv }) {
            Format::Jsonl => Ok(Self::Jsonl { reader, number: 0 }),
            Format::Csv => Self::csv(reader),
        }
    }

    fn csv(reader: Box<dyn BufRead>) -> Result<Self, CommandError> {
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(reader);
        let header = reader.headers()?.clone();
        let field = |column: &str| {
            let is_it = |(_, names): &&(&'static str, &[&str])| names.contains(&column.trim());
            FIELDS.iter().find(is_it).map(|(name, _)| *name)
        };
        let columns: Vec<_> = header.iter().map(field).collect();
        for needed in ["email", "name", "password"] {
            if !columns.contains(&Some(needed)) {
                let there = header.iter().collect::<Vec<_>>().join(", ");
                return Err(format!("the header has no column {needed}; it has: {there}").into());
            }
        }
        Ok(Self::Csv { reader, columns, record: ByteRecord::new() })
    }

    /// The next line; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Line>, CommandError> {
        match self {
            Self::Csv { reader, columns, record } => {
                if !reader.read_byte_record(record)? {
                    return Ok(None);
                }
                let number = record.position().map_or(0, csv::Position::line);
                let fields = StringRecord::from_byte_record(record.clone());
                let fields = fields.map_err(|_| "not UTF-8".to_owned()).map(|record| {
                    let pairs = columns.iter().zip(record.iter());
                    pairs.filter_map(|(name, text)| Some(((*name)?, text.to_owned()))).collect()
                });
                Ok(Some(Line { number, fields }))
            }
            Self::Jsonl { reader, number } => loop {
                let mut line = Vec::new();
                if reader.read_until(b'\n', &mut line)? == 0 {
                    return Ok(None);
                }
                *number += 1;
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(Line { number: *number, fields: parse_object(&line) }));
                }
            },
        }
    }
}

fn parse_object(line: &[u8]) -> Result<Fields, String> {
    let object: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| format!("not a JSON object: {error}"))?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let field = |(name, names): &(&'static str, &[&str])| {
        let value = names.iter().find_map(|name| object.get(*name))?;
        Some((*name, text(value)?))
    };
    Ok(FIELDS.iter().filter_map(field).collect())
}
