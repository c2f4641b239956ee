//! Reads code blocks of the documentation.

/// Returns the fenced block of a document with this language and start.
pub(crate) fn block(file: &str, language: &str, beginning: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let fence = format!("```{language}\n{beginning}");
    let (_, rest) = text.split_once(&fence).unwrap_or_else(|| panic!("no {fence} in {file}"));
    let (block, _) = rest.split_once("```").unwrap();
    format!("{beginning}{block}")
}
