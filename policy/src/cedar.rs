//! Cedar: the language in which grants and national laws are decided.
//!
//! | module | job |
//! |---|---|
//! | `schema` | what policies can speak of, generated from the record model |
//! | `nesting` | how deep a text nests, before Cedar reads it |
//! | `condition` | the further condition of a grant |
//! | `grant` | a grant as a policy template |
//! | `overlay` | a national law: `forbid` policies that always win |
//! | `question` | one evaluation: who asks for which sections of what |
//!
//! Only what concerns one sender and one receiver is ever evaluated together, so that the number of agreements does not
//! matter; and an evaluation in which any policy erred counts as a refusal, because Cedar skips a policy that errs and a
//! `forbid` that errs would otherwise stop forbidding.

pub(crate) mod condition;
pub(crate) mod grant;
mod nesting;
pub(crate) mod overlay;
pub(crate) mod question;
pub(crate) mod schema;
