//! Colors of Okabe and Ito, which people who cannot tell red from green can tell apart, with a blue that is
//! readable on dark and light. No state is told by color alone.

/// As it should be.
pub(crate) const GOOD: &str = "#009E73";
/// Worth a look.
pub(crate) const WARNING: &str = "#E69F00";
/// Act now.
pub(crate) const CRITICAL: &str = "#D55E00";
/// A value without judgment.
pub(crate) const PLAIN: &str = "#3D8FD1";
/// Something that is absent, or not known yet.
pub(crate) const UNKNOWN: &str = "#8E8E8E";
