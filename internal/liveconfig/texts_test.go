// SPDX-License-Identifier: Apache-2.0

package liveconfig

import (
	"strconv"
	"strings"
	"testing"
)

func TestTextsAreBounded(t *testing.T) {
	var texts Texts
	for i := range maxTexts + 3 {
		texts.Add("first")
		texts.Add(strconv.Itoa(i))
	}
	if _, ok := texts.Find(IDOf("first")); !ok || len(texts.texts) != maxTexts {
		t.Errorf("what is looked at is forgotten, or %d texts are kept", len(texts.texts))
	}
	if _, ok := texts.Find(IDOf("0")); ok {
		t.Error("the oldest text is kept")
	}
	texts.Add(strings.Repeat("x", maxTextsBytes))
	if len(texts.texts) != 1 {
		t.Errorf("%d texts are kept beside one that is as long as all may be", len(texts.texts)-1)
	}
}
