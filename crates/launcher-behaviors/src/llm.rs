//! Answers with the help of a language model.

mod provider;
