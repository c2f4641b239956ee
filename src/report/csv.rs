//! Campaigns as CSV for spreadsheets, as in RFC 4180.

use csv::{Terminator, WriterBuilder};

use crate::report::record::{Fields, Value};
use crate::report::row::Row;

/// Spreadsheets take a file without this mark for one in the system's character set.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The line with the names of the fields.
pub fn header(fields: &Fields) -> csv::Result<Vec<u8>> {
    let names = fields.names().iter().map(|name| Value::from(name.as_str()));
    Ok([BYTE_ORDER_MARK.as_bytes(), &lines([names.collect()].into_iter())?].concat())
}

/// The lines of some campaigns.
pub fn rows<'a>(fields: &Fields, rows: impl Iterator<Item = Row<'a>>) -> csv::Result<Vec<u8>> {
    lines(rows.map(|row| fields.values(row)))
}

fn lines(records: impl Iterator<Item = Vec<Value>>) -> csv::Result<Vec<u8>> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for values in records {
        writer.write_record(values.into_iter().map(cell))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn cell(value: Value) -> String {
    match value {
        Value::Absent => String::new(),
        Value::Text(text) => inert(text),
        Value::Count(count) => count.to_string(),
        Value::Number(number) => number.to_string(),
        // spreadsheets do not read a time with its zone
        Value::Time(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        Value::Flag(flag) => flag.to_string(),
    }
}

/// A text that no spreadsheet takes for a formula. Full-width signs begin one as well.
fn inert(text: String) -> String {
    let signs = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let begins = text.trim_start().starts_with(signs);
    if begins || text.starts_with(char::is_control) { format!("'{text}") } else { text }
}
