"""Notes on trials that other modules recognise, as they stand in the journal."""

NOT_APPLIED = "scores are left as they are"
NO_INNER = "inner splits cannot hold"
DECISIONS = "scores are the logistic function of decision values, and no probabilities"
LOWERED, FEW_ROWS = "lowered to", "components are more than a fifth of the training rows"
NEW_HEAD = "the last layer started anew, because the bundle of --init is for other classes"
