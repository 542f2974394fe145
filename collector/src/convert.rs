//! Configurations of others, translated: what has an equivalent becomes ours, what has none is said in comments.

mod conditions;
mod policies;
mod rules;
mod samplers;
mod vmagent;

#[cfg(test)]
mod tests;

use phoenix_config::{KeyPath, Problems};

use conditions::{Condition, Scope};
use policies::Policy;
use rules::{Refinery, Rule, Rules, Sampler};
pub use vmagent::{VmagentOptions, vmagent};

/// How a Refinery rules file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefineryOptions {
    /// The resource attribute that tells the environment, where Refinery looks at the API key.
    pub environment_attribute: String,
}

impl Default for RefineryOptions {
    fn default() -> RefineryOptions {
        RefineryOptions { environment_attribute: "deployment.environment.name".to_owned() }
    }
}

/// A translated configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// YAML with a `processors` section, with comments.
    pub yaml: String,
    /// What has no equivalent, a sentence each; the comments say it too.
    pub left_out: Vec<String>,
}

/// Translates a rules file of Honeycomb's Refinery (version 2) to a `tail_sampling` processor that decides by the first
/// policy that matches. `name` is what reports call the text.
///
/// # Errors
/// Where it is no such file.
pub fn refinery(name: &str, text: &str, options: &RefineryOptions) -> Result<Converted, Box<Problems>> {
    let node = phoenix_config::parse_yaml(name, text)?;
    let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
    let file: Refinery =
        phoenix_config::decode_checked(&node, &mut problems).ok_or_else(|| Box::new(problems))?;
    let mut translation = Translation { options, policies: Vec::new(), left_out: Vec::new() };
    for (environment, sampler) in file.samplers.in_order() {
        translation.environment(environment, sampler);
    }
    Ok(translation.finish(name))
}

struct Translation<'a> {
    options: &'a RefineryOptions,
    policies: Vec<Policy>,
    left_out: Vec<String>,
}

impl Translation<'_> {
    /// The policies of one environment; the default has no name.
    fn environment(&mut self, environment: Option<&str>, sampler: &Sampler) {
        match &sampler.rules_based_sampler {
            Some(Rules { rules, check_nested_fields }) => {
                for (index, rule) in rules.iter().enumerate() {
                    self.rule(environment, index, rule, *check_nested_fields);
                }
                if !rules.iter().any(Rule::is_for_all) {
                    let kept =
                        Policy::keep("no rule matched").with_comment("Refinery keeps what no rule matches.");
                    self.push(environment, kept, Vec::new());
                }
            }
            None => {
                let name = environment.unwrap_or("default");
                let policy = samplers::policy(name, sampler, &mut self.left_out);
                self.push(environment, policy, Vec::new());
            }
        }
    }

    fn rule(&mut self, environment: Option<&str>, index: usize, rule: &Rule, nested: bool) {
        let name = match rule.name.as_str() {
            "" => format!("rule {}", index + 1),
            name => name.to_owned(),
        };
        let scope = if rule.scope == "span" { Scope::Span } else { Scope::Trace };
        let conditions = match conditions::translate(&rule.conditions, scope) {
            Ok(conditions) => conditions,
            Err(why) => {
                let said = format!("rule {name:?} is left out: {why}");
                self.policies.push(Policy::comment(&said));
                self.left_out.push(said);
                return;
            }
        };
        if nested && !rule.conditions.is_empty() {
            let said =
                format!("rule {name:?}: fields inside of values (CheckNestedFields) are not looked at");
            self.left_out.push(said);
        }
        let action = if rule.drop {
            return self.push_drop(environment, &name, conditions);
        } else if let Some(sampler) = &rule.sampler {
            samplers::policy(&name, sampler, &mut self.left_out)
        } else {
            samplers::one_in(&name, rule.sample_rate)
        };
        self.push(environment, action, conditions);
    }

    fn conditions(&self, environment: Option<&str>, mut conditions: Vec<Condition>) -> Vec<Policy> {
        if let Some(environment) = environment {
            conditions.insert(0, conditions::environment(&self.options.environment_attribute, environment));
        }
        conditions
            .into_iter()
            .enumerate()
            .map(|(index, condition)| condition.into_policy(index + 1))
            .collect()
    }

    /// Adds a policy that asks the conditions first.
    fn push(&mut self, environment: Option<&str>, action: Policy, conditions: Vec<Condition>) {
        let conditions = self.conditions(environment, conditions);
        self.policies.push(action.after(conditions));
    }

    fn push_drop(&mut self, environment: Option<&str>, name: &str, conditions: Vec<Condition>) {
        let mut conditions = self.conditions(environment, conditions);
        if conditions.is_empty() {
            conditions.push(Policy::keep("all"));
        }
        self.policies.push(Policy::drop_where(name, conditions));
    }

    fn finish(mut self, name: &str) -> Converted {
        policies::make_unique(&mut self.policies);
        let mut yaml = format!(
            "# Translated from the Refinery rules in {name}. Policies are asked in their order, and the first that matches decides.\n"
        );
        if !self.left_out.is_empty() {
            yaml += "#\n# Without equivalent:\n";
            self.left_out.iter().for_each(|said| yaml += &format!("# - {said}\n"));
        }
        yaml += "processors:\n  tail_sampling:\n    # TraceTimeout and SendDelay of Refinery, with its defaults: put what your config.yaml says.\n    decision_wait: 60s\n    decision_wait_after_root_received: 2s\n    evaluation: first_match\n    randomness: w3c\n    policies:\n";
        self.policies.iter().for_each(|policy| policy.write(6, &mut yaml));
        Converted { yaml, left_out: self.left_out }
    }
}
