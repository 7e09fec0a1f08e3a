"""A policy that answers as a test says, in the place of a model: the solver cannot tell."""

from arcgym.models.sampling import Completion


class Scripted:
    """Answers each prompt by a function of its text and the number of the sample; keeps what it was asked."""

    context = None

    def __init__(self, tokenizer, answer):
        self.tokenizer = tokenizer
        self.answer = answer
        self.asked = []

    def generate(self, requests, stage):
        completions = []
        for request in requests:
            text = self.tokenizer.decode(request.prompt)
            self.asked += [(text, number) for number in range(request.first, request.first + request.num)]
            answers = [self.answer(text, number) for number in range(request.first, request.first + request.num)]
            completions.append([Completion(answer, len(answer), None) for answer in answers])
        return completions
