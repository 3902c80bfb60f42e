"""The arena: a closed, invented world of potions in which attacks, refusals and answers can be judged exactly.

world        potions, recipes, facts: the ground truth
language     request -> text and expected answer        (wrapper x encoding x intent)
parser       text -> request, strictly; a lenient check beside it
oracle       seed, attack, response -> labels
seeds, suites                 what the game is played and measured on
image        markup -> PNG
tokenizer, build              tiny Hugging Face models that live in this world (torch only here)
adapters     the ports of the project, filled with all of the above
bundle       all of it as one World, which the entry point `arena` names
"""
