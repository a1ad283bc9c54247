"""From text to token numbers, and the texts of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["PASSAGES", "MissingTokenizer", "tokenize"]


class MissingTokenizer(ValueError):
    """The package tokenizers, or the tokenizer.json of the model, is not there."""


def tokenize(folder: Path, texts: Sequence[str], most: int) -> list[list[int]]:
    """The token numbers of each text, [CLS] and [SEP] included, cut to `most`.

    Raises
    ------
    MissingTokenizer
        If the package tokenizers is not installed, or `folder` has no tokenizer.json.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingTokenizer("text needs the package tokenizers: pip install tokenizers") from None
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise MissingTokenizer(f"{folder} has no tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    return [list(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]


#: Openings of eight books and speeches whose copyright has long expired, each more than 128 tokens.
PASSAGES = (
    "Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in "
    "Liberty, and dedicated to the proposition that all men are created equal. Now we are engaged in a great civil "
    "war, testing whether that nation, or any nation so conceived and so dedicated, can long endure. We are met on "
    "a great battle-field of that war. We have come to dedicate a portion of that field, as a final resting place "
    "for those who here gave their lives that that nation might live. It is altogether fitting and proper that we "
    "should do this. But, in a larger sense, we can not dedicate, we can not consecrate, we can not hallow this "
    "ground.",
    "Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse, and "
    "nothing particular to interest me on shore, I thought I would sail about a little and see the watery part of "
    "the world. It is a way I have of driving off the spleen and regulating the circulation. Whenever I find myself "
    "growing grim about the mouth; whenever it is a damp, drizzly November in my soul; whenever I find myself "
    "involuntarily pausing before coffin warehouses, and bringing up the rear of every funeral I meet; then, I "
    "account it high time to get to sea as soon as I can.",
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
    "Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing "
    "before us, we were all going direct to Heaven, we were all going direct the other way. In short, the period "
    "was so far like the present period, that some of its noisiest authorities insisted on its being received, for "
    "good or for evil, in the superlative degree of comparison only.",
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of "
    "a wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood, "
    "this truth is so well fixed in the minds of the surrounding families, that he is considered as the rightful "
    'property of some one or other of their daughters. "My dear Mr. Bennet," said his lady to him one day, "have '
    'you heard that Netherfield Park is let at last?" Mr. Bennet replied that he had not. "But it is," returned '
    'she; "for Mrs. Long has just been here, and she told me all about it." Mr. Bennet made no answer.',
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once "
    "or twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it, "
    "and what is the use of a book, thought Alice, without pictures or conversations? So she was considering in her "
    "own mind, as well as she could, for the hot day made her feel very sleepy and stupid, whether the pleasure of "
    "making a daisy-chain would be worth the trouble of getting up and picking the daisies, when suddenly a White "
    "Rabbit with pink eyes ran close by her. There was nothing so very remarkable in that.",
    "When on board H.M.S. Beagle, as naturalist, I was much struck with certain facts in the distribution of the "
    "inhabitants of South America, and in the geological relations of the present to the past inhabitants of that "
    "continent. These facts seemed to me to throw some light on the origin of species, that mystery of mysteries, "
    "as it has been called by one of our greatest philosophers. On my return home, it occurred to me, in 1837, that "
    "something might perhaps be made out on this question by patiently accumulating and reflecting on all sorts of "
    "facts which could possibly have any bearing on it. After five years' work I allowed myself to speculate on the "
    "subject.",
    "When in the Course of human events, it becomes necessary for one people to dissolve the political bands which "
    "have connected them with another, and to assume among the powers of the earth, the separate and equal station "
    "to which the Laws of Nature and of Nature's God entitle them, a decent respect to the opinions of mankind "
    "requires that they should declare the causes which impel them to the separation. We hold these truths to be "
    "self-evident, that all men are created equal, that they are endowed by their Creator with certain unalienable "
    "Rights, that among these are Life, Liberty and the pursuit of Happiness. That to secure these rights, "
    "Governments are instituted among Men.",
    "To Sherlock Holmes she is always the woman. I have seldom heard him mention her under any other name. In his "
    "eyes she eclipses and predominates the whole of her sex. It was not that he felt any emotion akin to love for "
    "Irene Adler. All emotions, and that one particularly, were abhorrent to his cold, precise but admirably "
    "balanced mind. He was, I take it, the most perfect reasoning and observing machine that the world has seen, "
    "but as a lover he would have placed himself in a false position. He never spoke of the softer passions, save "
    "with a gibe and a sneer. They were admirable things for the observer, excellent for drawing the veil from "
    "men's motives and actions.",
)
